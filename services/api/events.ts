import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { listenToEvents, readEvents } from '../catalog/events-feed.ts'
import { isTokenValid, type Caller } from '../catalog/tokens.ts'
import { PLACED_EVENTS, type Wakes } from '../catalog/wake.ts'
import { HoldfastError } from '../core/errors.ts'
import { parseEventId, type AccountEvent, type EventPlace } from '../core/events.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { Bell } from '../runtime/bell.ts'
import { textAnswer } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

/** Streams of one account in this process. */
const MAX_STREAMS = 32
/** Events that are in memory for one stream. */
const PAGE = 100
/** Connections that carry nothing are closed by what stands between us and the client, often after a minute. */
const HEARTBEAT_MS = 15 * SECOND_MS
/** Whoever is no longer there to be listened to is forgotten a month after this. */
const LISTENED_MS = 30 * MINUTE_MS
/** A comment: clients take no notice of it. */
const HEARTBEAT = ':\n\n'
/** When a client comes back after its connection broke. */
const RETRY_MS = 2 * SECOND_MS
/** Of the events of an account that are kept: before the first. */
const BEGIN = '0'

const EventsQuery = z.object({
  after: z.string().max(64).optional().describe('The same as the header Last-Event-ID; 0: all that are kept'),
  types: z
    .string()
    .max(1_000)
    .optional()
    .transform((text) => text?.split(',').map((type) => type.trim()))
    .describe('Types of events with commas between them; all when unset'),
})

export interface EventParts {
  db: Database
  wakes: Wakes
  /** How long nothing comes at most. */
  eventHeartbeatMs?: number
}

/** What happens to an account's things, as server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export function eventRoutes({ db, wakes, eventHeartbeatMs: heartbeatMs = HEARTBEAT_MS }: EventParts): ApiRoute[] {
  const streams = new Map<number, number>()
  return [
    route(
      {
        method: 'GET',
        path: '/v1/events',
        summary: 'What happens, as it happens; after Last-Event-ID, if there is one, and from now on otherwise',
        access: 'events:read',
        query: EventsQuery,
        answers: { 200: textAnswer('text/event-stream') },
      },
      async ({ caller, query: { after, types }, header, signal, stopping }) => {
        const feed = await listenToEvents(db, caller.tenantId)
        if ((streams.get(caller.tenantId) ?? 0) >= MAX_STREAMS) {
          throw new HoldfastError('TOO_MANY_REQUESTS', `An account may have ${MAX_STREAMS} streams of events.`)
        }
        const from = placeAfter(header('last-event-id') ?? after, feed)
        const ending = AbortSignal.any([signal, stopping])
        const told = tell({ caller, from, types, ending }, { db, wakes, heartbeatMs })
        const body = counted(told, streams, caller.tenantId)
        // Whatever stands in between shall hand on what comes at once; the connection carries nothing after the stream.
        return { status: 200, headers: { 'X-Accel-Buffering': 'no', Connection: 'close' }, body }
      },
    ),
  ]
}

/**
 * The place after which the stream begins. An id of another feed, or one that this feed has not come to yet (the database
 * was put back to an earlier state), is as good as none that was ever seen: then all that is kept comes.
 * @throws BAD_REQUEST
 */
function placeAfter(text: string | undefined, feed: EventPlace): string {
  if (text === undefined || text === '') return feed.place
  if (text === BEGIN) return BEGIN
  const last = parseEventId(text)
  if (last === undefined) throw new HoldfastError('BAD_REQUEST', 'Last-Event-ID is no id of an event.')
  return last.feed === feed.feed && BigInt(last.place) <= BigInt(feed.place) ? last.place : BEGIN
}

async function* counted(
  told: AsyncIterable<string>,
  streams: Map<number, number>,
  tenantId: number,
): AsyncGenerator<string> {
  streams.set(tenantId, (streams.get(tenantId) ?? 0) + 1)
  try {
    yield* told
  } finally {
    const left = (streams.get(tenantId) ?? 1) - 1
    if (left === 0) streams.delete(tenantId)
    else streams.set(tenantId, left)
  }
}

interface Stream {
  caller: Caller
  from: string
  types: readonly string[] | undefined
  ending: AbortSignal
}

/** A page at a time, at the pace at which the client takes them; ends when the token is worthless. */
async function* tell(
  { caller: { tenantId, tokenId }, from, types, ending }: Stream,
  { db, wakes, heartbeatMs }: Pick<EventParts, 'db' | 'wakes'> & { heartbeatMs: number },
): AsyncGenerator<string> {
  const bell = new Bell()
  const stop = wakes.on(PLACED_EVENTS, (key) => {
    if (key === undefined || key === String(tenantId)) bell.ring()
  })
  let saidAt = performance.now()
  let checkedAt = saidAt
  let listenedAt = saidAt
  try {
    yield `retry: ${RETRY_MS}\n\n`
    for (let place = from; !ending.aborted;) {
      const page = await readEvents(db, tenantId, { after: place, limit: PAGE })
      place = page.at(-1)?.place ?? place
      const text = page.flatMap(({ event }) => (isWanted(event, types) ? [written(event)] : [])).join('')
      const now = performance.now()
      if (now - checkedAt >= heartbeatMs) {
        if (!(await isTokenValid(db, tokenId))) return
        checkedAt = now
      }
      if (now - listenedAt >= LISTENED_MS) {
        await listenToEvents(db, tenantId)
        listenedAt = now
      }
      if (text !== '' || now - saidAt >= heartbeatMs) {
        yield text === '' ? HEARTBEAT : text
        saidAt = performance.now()
      }
      if (page.length < PAGE) await bell.wait(saidAt + heartbeatMs - performance.now(), ending)
    }
  } finally {
    stop()
  }
}

function isWanted({ type }: AccountEvent, types: readonly string[] | undefined): boolean {
  return types === undefined || types.includes(type)
}

/** JSON has no line breaks of its own. */
function written(event: AccountEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}
