import { z } from 'zod'
import type { PinAcceptor } from '../../catalog/pins-accept.ts'
import { HoldfastError } from '../../core/errors.ts'
import { failureBody, failureOf } from '../../runtime/http/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { Failure, lines, linesAnswer, type Line } from '../../runtime/http/route.ts'
import { route, type ApiRoute } from '../route.ts'
import type { Delegates } from './delegates.ts'
import { NewPin, PinStatus } from './pin-schema.ts'
import { pinView } from './pin-view.ts'

/** Pins of one call that are being written while the next lines are read. */
const IN_FLIGHT = 500

const BatchAnswer = z
  .union([
    z.object({ line: z.number().int(), pin: PinStatus }),
    z.object({ line: z.number().int(), error: Failure.shape.error }),
  ])
  .meta({ id: 'BatchAnswer', description: 'What became of a line: a pin, or why there is none' })
type BatchAnswer = z.infer<typeof BatchAnswer>

export interface BatchParts {
  acceptor: PinAcceptor
  delegates: Delegates
  log: Log
}

/** `POST /v1/pins:batch`: a `Pin` a line in, an answer a line out, in the same order. */
export function batchRoute({ acceptor, delegates, log }: BatchParts): ApiRoute {
  return route(
    {
      method: 'POST',
      path: '/v1/pins:batch',
      summary: 'Pin up to 10,000 roots, NDJSON in and out; each line stands for itself',
      access: 'pins:write',
      body: lines(NewPin),
      answers: { 200: linesAnswer(BatchAnswer) },
    },
    async ({ caller, body, requestId }) => {
      const addresses = await delegates()
      const accept = async (line: Line<NewPin>): Promise<BatchAnswer> => {
        try {
          if ('error' in line) throw line.error
          const pin = await acceptor.accept(caller.tenantId, line.value)
          return { line: line.line, pin: pinView(pin, addresses) }
        } catch (error) {
          if (!(error instanceof HoldfastError))
            log.error({ err: error, requestId }, 'a line of a batch failed unexpectedly')
          return { line: line.line, ...failureBody(failureOf(error, requestId)) }
        }
      }
      return { status: 200, body: inOrder(body, accept, IN_FLIGHT) }
    },
  )
}

/**
 * The answers in the order of the lines, with up to `width` lines worked on at once. When the body itself is refused (too
 * many lines, or one too long), what was accepted is answered and the refusal comes last.
 */
async function* inOrder(
  body: AsyncIterable<Line<NewPin>>,
  accept: (line: Line<NewPin>) => Promise<BatchAnswer>,
  width: number,
): AsyncGenerator<BatchAnswer> {
  const pending: Promise<BatchAnswer>[] = []
  let last = 0
  let refusal: HoldfastError | undefined
  try {
    for await (const line of body) {
      last = line.line
      pending.push(accept(line))
      if (pending.length >= width) yield (await pending.shift()) as BatchAnswer
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    refusal = error
  }
  for (const answer of pending) yield await answer
  if (refusal !== undefined)
    yield { line: last + 1, ...failureBody({ reason: refusal.code, details: refusal.message }) }
}
