import { z } from 'zod'
import type { FrameContext } from './frame.ts'
import { writeLines } from './ndjson.ts'
import { pump } from './pump.ts'
import type { AnyAnswer, RouteSpec } from './route.ts'

/** Sends what a route answered, in the form in which that status is declared. */
export async function sendAnswer(ctx: FrameContext, spec: RouteSpec, answer: AnyAnswer, check: boolean): Promise<void> {
  const declared = spec.answers[answer.status]
  if (declared === undefined) throw new Error(`${spec.method} ${spec.path} answered ${answer.status}, undeclared`)
  if (answer.headers !== undefined) ctx.set(answer.headers)
  if (declared instanceof z.ZodType) {
    if (check) insist(spec, declared, answer.body)
    ctx.type = 'application/json'
    ctx.body = JSON.stringify(answer.body)
    ctx.status = answer.status
  } else if (declared.kind === 'text-answer') {
    ctx.type = declared.type
    if (typeof answer.body === 'string') {
      ctx.body = answer.body
      ctx.status = answer.status
    } else await stream(ctx, answer.status, answer.body as AsyncIterable<string>)
  } else if (declared.kind === 'either-answer') {
    const isBytes = answer.body instanceof Uint8Array
    if (check && !isBytes) insist(spec, declared.schema, answer.body)
    ctx.type = isBytes ? declared.type : 'application/json'
    ctx.body = isBytes ? Buffer.from(answer.body as Uint8Array) : JSON.stringify(answer.body)
    ctx.status = answer.status
  } else if (declared.kind === 'empty-answer') {
    ctx.body = null
    ctx.status = answer.status
  } else {
    const values = answer.body as AsyncIterable<unknown>
    ctx.type = 'application/x-ndjson'
    await stream(ctx, answer.status, writeLines(check ? insistOnEach(spec, declared.schema, values) : values))
  }
}

/** Sends text as it is made, at the pace at which it is taken. */
async function stream(ctx: FrameContext, status: number, text: AsyncIterable<string>): Promise<void> {
  ctx.respond = false
  ctx.res.statusCode = status
  await pump(text, ctx.res)
}

function insist(spec: RouteSpec, schema: z.ZodType, body: unknown): void {
  const result = schema.safeParse(body)
  if (!result.success)
    throw new Error(`${spec.method} ${spec.path} answered what it does not declare`, { cause: result.error })
}

async function* insistOnEach(spec: RouteSpec, schema: z.ZodType, values: AsyncIterable<unknown>): AsyncGenerator {
  for await (const value of values) {
    insist(spec, schema, value)
    yield value
  }
}
