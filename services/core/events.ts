/** What can happen to things of an account; docs/webhooks.md says what each tells. */
export const EVENT_TYPES = [
  'pin.pinned',
  'pin.failed',
  'name.published',
  'name.ending',
  'name.ended',
  'follow.changed',
  'follow.failing',
  'uri.changed',
  'contract.upgraded',
  'became.centralised',
  'asset.missing',
  'content.mismatch',
  'guard.limit',
  'finality.broken',
  'rpc.disagrees',
  'webhook.test',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

/** An event as its account gets it, by a webhook or from the stream. */
export interface AccountEvent {
  /** The same in each delivery. Ids of one account come in the order in which they are told. */
  id: string
  type: string
  /** What it happened to: a name, a collection, a request id. */
  subject: string
  /** RFC 3339, UTC. */
  at: string
  data: Readonly<Record<string, unknown>>
}

/** A place among the events of one account, which count from 1. */
export interface EventPlace {
  /** Random, of the account: ids of two accounts are never the same, and tell nothing of each other's number. */
  feed: string
  place: string
}

export function eventId({ feed, place }: EventPlace): string {
  return `${feed}-${place}`
}

/** Undefined for what is no id of an event. */
export function parseEventId(text: string): EventPlace | undefined {
  const [, feed, place] = /^([0-9a-f]{16})-(\d{1,18})$/.exec(text) ?? []
  return feed === undefined || place === undefined ? undefined : { feed, place }
}
