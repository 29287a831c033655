import { Router } from '@koa/router'
import type { Middleware } from 'koa'
import type { z } from 'zod'
import { HoldfastError } from '../../core/errors.ts'
import { announcedLength, readJson, refuseCompressed } from './body.ts'
import { senderOf, type FrameContext, type FrameState } from './frame.ts'
import { readLines } from './ndjson.ts'
import { sendAnswer } from './answer.ts'
import type { BodySpec, IncomingBytes, Route, RouteSpec } from './route.ts'
import { hasNul, queryObject, validate } from './validation.ts'

/** Decides whether a request to a route that is not public may go on. */
export interface Gatekeeper<Caller> {
  /** @throws UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS */
  admit(attempt: Attempt): Promise<Caller>
}

export interface Attempt {
  /** The bearer token; undefined when there is none or the header is malformed. */
  bearer: string | undefined
  scope: string
  /** Address, or network, that the request comes from. */
  sender: string
  setHeader: (name: string, value: string) => void
}

/** Routes and who watches over them. One server may have several, each with its own kind of callers. */
export interface Door {
  readonly routes: readonly Route<never>[]
  readonly gatekeeper: Gatekeeper<unknown> | undefined
}

/**
 * Routes whose callers the gatekeeper admits. Without one every route must be public.
 * @throws CONFIG when a route would stand open that is not meant to
 */
export function door<Caller>(routes: readonly Route<Caller>[], gatekeeper?: Gatekeeper<Caller>): Door {
  const unwatched = routes.find(({ spec }) => spec.access !== 'public' && gatekeeper === undefined)
  if (unwatched !== undefined) {
    throw new HoldfastError('CONFIG', `${unwatched.spec.path} needs ${unwatched.spec.access}, but nobody checks it.`)
  }
  return { routes, gatekeeper }
}

export interface MountOptions {
  checkAnswers: boolean
  stopping: AbortSignal
}

/** Middleware that serves the routes of all doors and refuses everything else. */
export function mount(doors: readonly Door[], options: MountOptions): Middleware<FrameState> {
  const router = new Router<FrameState>({ sensitive: true, strict: true })
  for (const { routes, gatekeeper } of doors) {
    for (const route of routes) {
      router.register(routerPath(route.spec.path), [route.spec.method], async (ctx) => {
        await serve(ctx, route, gatekeeper, options)
      })
    }
  }
  const find = router.routes()
  return async (ctx) => await find(ctx as never, async () => refuse(ctx))
}

interface Layer {
  methods: string[]
}

async function serve(
  ctx: FrameContext & { params: Record<string, string> },
  route: Route<never>,
  gatekeeper: Gatekeeper<unknown> | undefined,
  { checkAnswers, stopping }: MountOptions,
): Promise<void> {
  const { spec } = route
  const gone = new AbortController()
  ctx.state.route = spec.path
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) gone.abort()
  })
  const caller = spec.access === 'public' ? undefined : await gatekeeper?.admit(attemptOf(ctx, spec.access))
  const params = paramsOf(spec, ctx.params)
  const query = spec.query && validate(spec.query, queryObject(ctx.URL.searchParams))
  const body = spec.body && (await bodyOf(ctx, spec.body))
  const request = {
    params,
    query,
    body,
    caller: caller as undefined,
    requestId: ctx.state.requestId,
    header: (name: string) => ctx.get(name) || undefined,
    signal: gone.signal,
    stopping,
  }
  await sendAnswer(ctx, spec, await route.run(request), checkAnswers)
}

function attemptOf(ctx: FrameContext, scope: string): Attempt {
  const bearer = /^Bearer +(\S+) *$/i.exec(ctx.get('authorization'))?.[1]
  return { bearer, scope, sender: senderOf(ctx), setHeader: (name, value) => ctx.set(name, value) }
}

/** A path that names nothing there could be is not found; only PUT, which makes what the path names, is told why not. */
function paramsOf(spec: RouteSpec, params: Record<string, string>): unknown {
  if (spec.params === undefined) return {}
  const isNameless = Object.values(params).some(hasNul)
  if (spec.method === 'PUT') {
    if (isNameless) throw new HoldfastError('BAD_REQUEST', 'There is a NUL in the path.')
    return validate(spec.params, params)
  }
  const result = spec.params.safeParse(params) as z.ZodSafeParseResult<unknown>
  if (result.success && !isNameless) return result.data
  throw new HoldfastError('NOT_FOUND', 'There is nothing of that name.')
}

async function bodyOf(ctx: FrameContext, body: BodySpec): Promise<unknown> {
  if (body.kind === 'json') return validate(body.schema, await readJson(ctx.req, body.maxBytes))
  if (body.kind === 'lines') return readLines(ctx.req, body)
  refuseCompressed(ctx.req)
  const incoming: IncomingBytes = {
    type: ctx.get('content-type'),
    length: announcedLength(ctx.req),
    stream: ctx.req,
  }
  return incoming
}

/** `/v1/nodes/{id}:drain` in the router's words. */
function routerPath(template: string): string {
  return template.replaceAll(':', '\\:').replaceAll(/\{(\w+)\}/g, ':$1')
}

function refuse(ctx: FrameContext & { matched?: Layer[] }): never {
  const methods = new Set((ctx.matched ?? []).flatMap((layer) => layer.methods))
  if (methods.size === 0) throw new HoldfastError('NOT_FOUND', `There is no route ${ctx.path.slice(0, 200)}.`)
  const allowed = [...methods, 'OPTIONS'].join(', ')
  ctx.set('Allow', allowed)
  throw new HoldfastError('METHOD_NOT_ALLOWED', `${ctx.method} is not possible here; ${allowed} are.`)
}
