import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import type { Database } from './database.ts'

/**
 * Hints between the processes of the control plane that something has changed and is worth a look now. Within this
 * process they arrive at once, in others within some tens of milliseconds; any may be lost, so whoever waits for them also
 * looks by itself from time to time. They are sent after the commit they speak of: NOTIFY inside hot transactions makes
 * these wait for each other.
 */
export interface Wakes extends AsyncDisposable {
  /** Says that `key` of the channel has changed; without a key, that anything may have. */
  announce(channel: string, key?: string): void
  /** Calls back on each hint, without a key also after a gap in which hints may have been lost. Answers how to stop. */
  on(channel: string, heard: (key: string | undefined) => void): () => void
}

/** Channels. Roots were queued for a look at their placement. */
export const RECONCILE = 'reconcile'
/** A policy was saved, and pins shall follow it. */
export const POLICIES = 'policies'
/** Denylists or access rules were changed: gateways are to be told. */
export const RULES = 'rules'
/** A record was published or signed anew: gateways are to serve it. */
export const NAMES = 'names'
/** A look at a collection is wanted, or one has ended: the next of its account can begin. */
export const VERIFICATIONS = 'verifications'
/** Nodes were challenged; the key is the number of one. */
export const CHALLENGES = 'challenges'
/** A proof is wanted, or has got further. */
export const PROOFS = 'proofs'
/** Something happened to things of some account. */
export const EVENTS = 'events'
/** Events of an account, by its number, have their places in its stream. */
export const PLACED_EVENTS = 'placed-events'
/** A webhook has something to be told. */
export const WEBHOOKS = 'webhooks'
/** A collection is guarded from now on, or differently. */
export const GUARDS = 'guards'

/** Hints wait so long for others to go with. */
const DEBOUNCE_MS = 20
/** More keys of one channel than these become one hint without a key. A notification holds less than 8,000 bytes. */
const KEYS_AT_ONCE = 64
const MAX_KEY_LENGTH = 64
const POSTGRES_CHANNEL = 'holdfast_wake'
const RECONNECT_MS = { first: 100, longest: 5_000 }

type Heard = (key: string | undefined) => void

export function openWakes(db: Database): Wakes {
  const listeners = new Map<string, Set<Heard>>()
  const outbox = createOutbox(db)
  const tell = (channel: string, key: string | undefined): void => {
    for (const heard of listeners.get(channel) ?? []) heard(key)
  }
  const ear = listen(db, {
    onHint: (hint) => {
      if (hint.from === outbox.name) return
      if (hint.keys.length === 0) tell(hint.channel, undefined)
      for (const key of hint.keys) tell(hint.channel, key)
    },
    onGap: () => {
      for (const channel of listeners.keys()) tell(channel, undefined)
    },
  })
  return {
    announce(channel, key) {
      tell(channel, key)
      outbox.add(channel, key)
    },
    on(channel, heard) {
      const set = listeners.get(channel) ?? new Set()
      listeners.set(channel, set.add(heard))
      return () => set.delete(heard)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([outbox.close(), ear.close()])
    },
  }
}

interface Hint {
  from: string
  channel: string
  /** Empty: anything in the channel. */
  keys: string[]
}

interface Outbox {
  name: string
  add(channel: string, key: string | undefined): void
  close(): Promise<void>
}

function createOutbox(db: Database): Outbox {
  const name = randomUUID()
  /** Keys per channel; undefined: anything. */
  let waiting = new Map<string, Set<string> | undefined>()
  let timer: NodeJS.Timeout | undefined
  let sending = Promise.resolve()

  async function send(): Promise<void> {
    timer = undefined
    const hints = [...waiting].map(([channel, keys]): Hint => ({ from: name, channel, keys: [...(keys ?? [])] }))
    waiting = new Map()
    const payloads = hints.map((hint) => JSON.stringify(hint))
    // A lost hint is a later look.
    await db
      .query('select pg_notify($1, payload) from unnest($2::text[]) as payload', [POSTGRES_CHANNEL, payloads])
      .catch(() => undefined)
  }

  function add(channel: string, key: string | undefined): void {
    const isNew = !waiting.has(channel)
    const keys = isNew ? new Set<string>() : waiting.get(channel)
    if (keys !== undefined && key !== undefined) keys.add(key)
    const anything = keys === undefined || key === undefined || key.length > MAX_KEY_LENGTH || keys.size > KEYS_AT_ONCE
    waiting.set(channel, anything ? undefined : keys)
    timer ??= setTimeout(() => {
      sending = send()
    }, DEBOUNCE_MS)
  }

  return {
    name,
    add,
    async close() {
      clearTimeout(timer)
      await sending
      if (waiting.size > 0) await send()
    },
  }
}

/** A session that listens, and comes back when it breaks. */
function listen(
  db: Database,
  { onHint, onGap }: { onHint: (hint: Hint) => void; onGap: () => void },
): { close(): Promise<void> } {
  let client: Client | undefined
  let retry: NodeJS.Timeout | undefined
  let failures = 0
  let closed = false

  async function connect(): Promise<void> {
    const next = db.connection()
    client = next
    next.on('error', () => undefined)
    next.on('end', reconnect)
    next.on('notification', ({ payload }) => onHint(JSON.parse(payload ?? '') as Hint))
    await next.connect()
    await next.query(`listen ${POSTGRES_CHANNEL}`)
    failures = 0
    onGap()
  }

  function reconnect(): void {
    if (closed || retry !== undefined) return
    const pauseMs = Math.min(RECONNECT_MS.first * 2 ** failures++, RECONNECT_MS.longest)
    retry = setTimeout(start, pauseMs)
  }

  function start(): void {
    retry = undefined
    connecting = connect().catch(async () => {
      await client?.end().catch(() => undefined)
      reconnect()
    })
  }

  let connecting: Promise<void> = Promise.resolve()
  start()
  return {
    async close() {
      closed = true
      clearTimeout(retry)
      await connecting
      await client?.end().catch(() => undefined)
    },
  }
}
