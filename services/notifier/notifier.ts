import type { Database } from '../catalog/database.ts'
import { placeEvents, pruneEvents } from '../catalog/events-place.ts'
import type { Seal } from '../catalog/sealed-secret.ts'
import { EVENTS, PLACED_EVENTS, WEBHOOKS, type Wakes } from '../catalog/wake.ts'
import { takeWebhook, type TakenWebhook } from '../catalog/webhooks-work.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { Bell } from '../runtime/bell.ts'
import { whenRung } from '../runtime/bell-loop.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'
import type { SendOptions } from './send.ts'
import { tellWebhook } from './tell-webhook.ts'

export interface NotifierOptions {
  db: Database
  wakes: Wakes
  /** Of the secrets of webhooks; undefined: there are none. */
  seal: Seal | undefined
  sending?: SendOptions
  log: Log
  /** How often events that nobody announced are looked for. */
  everyMs?: number
  /** How long events are kept. */
  keptMs?: number
  signal: AbortSignal
}

const EVERY_MS = SECOND_MS
const KEPT_MS = 30 * DAY_MS
const PRUNE_MS = 10 * MINUTE_MS
/** Events that get their places, or are forgotten, in one transaction. */
const SLICE = 1_000
/** Webhooks that one process tells something at once. */
const LANES = 32

/**
 * Gives events their places in the streams of their accounts, tells webhooks of them, and forgets those that are old, until
 * the signal is aborted; resolves when the last attempt has ended. Any number of processes may do it: each webhook is told
 * by one at a time.
 */
export async function startNotifier(options: NotifierOptions): Promise<void> {
  const { db, seal, log, signal, keptMs = KEPT_MS } = options
  const prune = async (): Promise<boolean> => (await pruneEvents(db, { keptMs, limit: SLICE })) >= SLICE
  await Promise.all([
    whenever('events', EVENTS, new Bell(), () => place(options), options),
    loop('old-events', prune, { everyMs: PRUNE_MS, log, signal }),
    ...(seal === undefined ? [] : [tellWebhooks(seal, options)]),
  ])
}

/** Repeats a step on hints of the channel, when the bell rings, and from time to time. */
async function whenever(
  name: string,
  channel: string,
  bell: Bell,
  step: () => Promise<boolean>,
  { wakes, log, signal, everyMs = EVERY_MS }: NotifierOptions,
): Promise<void> {
  const stop = wakes.on(channel, bell.ring)
  await whenRung(name, bell, step, { everyMs, log, signal })
  stop()
}

async function place({ db, wakes }: NotifierOptions): Promise<boolean> {
  const { tenants, isForWebhooks, isFull } = await placeEvents(db, SLICE)
  for (const tenantId of tenants) wakes.announce(PLACED_EVENTS, String(tenantId))
  if (isForWebhooks) wakes.announce(WEBHOOKS)
  return isFull && tenants.length > 0
}

async function tellWebhooks(seal: Seal, options: NotifierOptions): Promise<void> {
  const underWay = new Set<Promise<void>>()
  const bell = new Bell()
  const step = async (): Promise<boolean> => {
    if (underWay.size === LANES) await Promise.race(underWay)
    const webhook = await takeWebhook(options.db, seal)
    if (webhook === undefined) return false
    const one = tellOne(webhook, options).finally(() => {
      underWay.delete(one)
      // More may wait for it than was told, or for others of its account.
      bell.ring()
    })
    underWay.add(one)
    return true
  }
  await whenever('webhooks', WEBHOOKS, bell, step, options)
  await Promise.all(underWay)
}

/** Never fails: what is not noted is tried again when the lease is over. */
async function tellOne(webhook: TakenWebhook, { db, sending = {}, log, signal }: NotifierOptions): Promise<void> {
  try {
    await tellWebhook(webhook, { db, log, sending, signal })
  } catch (error) {
    log.warn({ err: error, webhook: webhook.id }, 'what came of telling a webhook is not noted')
  }
}
