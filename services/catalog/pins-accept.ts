import { HoldfastError } from '../core/errors.ts'
import { createBatcher, type Batcher } from './batcher.ts'
import type { Database } from './database.ts'
import { insertPins } from './pins-insert.ts'
import type { NewPin, PinRow } from './pins.ts'
import { RECONCILE, type Wakes } from './wake.ts'

/** Takes pins of all tenants, many per transaction when many come at once. */
export interface PinAcceptor {
  /**
   * Resolves when the pin is durable. It is `queued`: what copies there are is judged by the scheduler.
   * @throws INSUFFICIENT_FUNDS over the quota; BAD_REQUEST for an unknown policy; TOO_MANY_REQUESTS when too many of the
   *   tenant's pins wait; UNAVAILABLE
   */
  accept(tenantId: number, pin: NewPin): Promise<PinRow>
  /** Like `accept`, for many pins; answers in their order a pin, or why it was refused, for each. */
  acceptMany(tenantId: number, pins: readonly NewPin[]): Promise<(PinRow | HoldfastError)[]>
}

/** Of one tenant: a second transaction would wait for the tenant's row, and halve what goes together. */
const BATCHES_UNDER_WAY = 1
/** The rate grows little above this, and what waits behind a batch waits for all of it. */
const BATCH_SIZE = 500
/** Of one tenant: some seconds of work, and some tens of megabytes. */
const MOST_WAITING = 20_000

export function createPinAcceptor(db: Database, wakes?: Wakes): PinAcceptor {
  const batchers = new Map<number, Batcher<NewPin, PinRow>>()

  function batcherOf(tenantId: number): Batcher<NewPin, PinRow> {
    const found = batchers.get(tenantId)
    if (found !== undefined) return found
    const batcher = createBatcher<NewPin, PinRow>({
      flush: (pins) => flush(tenantId, pins),
      concurrency: BATCHES_UNDER_WAY,
      batchSize: BATCH_SIZE,
      onIdle: () => batchers.delete(tenantId),
    })
    batchers.set(tenantId, batcher)
    return batcher
  }

  async function flush(tenantId: number, pins: readonly NewPin[]): Promise<(PinRow | Error)[]> {
    const answers = await insertTogether(db, tenantId, pins)
    wakes?.announce(RECONCILE)
    return answers
  }

  function add(tenantId: number, pins: readonly NewPin[]): Promise<PinRow>[] {
    const batcher = batcherOf(tenantId)
    if (batcher.waiting() + pins.length > MOST_WAITING) throw tooMany()
    return pins.map((pin) => batcher.add(pin))
  }

  return {
    async accept(tenantId, pin) {
      const [answer] = add(tenantId, [pin])
      return answer as Promise<PinRow>
    },
    acceptMany: (tenantId, pins) => Promise.all(add(tenantId, pins).map(refusalAsAnswer)),
  }
}

function tooMany(): HoldfastError {
  return new HoldfastError('TOO_MANY_REQUESTS', 'Too many pins of this account wait to be accepted.', {
    retryAfterSeconds: 2,
  })
}

async function refusalAsAnswer(accepting: Promise<PinRow>): Promise<PinRow | HoldfastError> {
  try {
    return await accepting
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
}

/** A pin that the database refuses must not take the others of its batch with it: then each goes alone. */
async function insertTogether(db: Database, tenantId: number, pins: readonly NewPin[]): Promise<(PinRow | Error)[]> {
  try {
    return await insert(db, tenantId, pins)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const alone: (PinRow | Error)[] = []
    for (const pin of pins) alone.push(...(await insert(db, tenantId, [pin]).catch(asAnswer)))
    return alone
  }
}

function asAnswer(error: unknown): Error[] {
  return [error instanceof Error ? error : new Error(String(error))]
}

function insert(db: Database, tenantId: number, pins: readonly NewPin[]): Promise<(PinRow | Error)[]> {
  return db.transaction((sql) =>
    insertPins(
      sql,
      tenantId,
      pins.map((pin) => ({ pin })),
    ),
  )
}
