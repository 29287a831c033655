import { HoldfastError } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { SECOND_MS } from '../core/units.ts'
import { senderOf } from '../runtime/http/frame.ts'

/** What one client, one host, and one tenant's restricted content may take. Infinity: no limit. */
export interface BudgetLimits {
  addressRequestsPerSecond: number
  addressBytesPerSecond: number
  hostBytesPerSecond: number
  tenantBytesPerSecond: number
  /** So many seconds' worth may be taken at once after a pause. */
  burstSeconds: number
}

/** Whom an answer is charged to. */
export interface Payer {
  /** Undefined for a proxy of ours, which stands for many. */
  address: string | undefined
  host: string | undefined
  tenant?: number | undefined
}

/** The token buckets of a gateway process. An answer is charged when it has ended; who is in debt waits. */
export class Budgets {
  readonly #requests: Buckets
  readonly #addressBytes: Buckets
  readonly #hostBytes: Buckets
  readonly #tenantBytes: Buckets

  /** @param now a clock in milliseconds that only goes forward */
  constructor(limits: BudgetLimits, now: () => number = () => performance.now()) {
    const of = (perSecond: number): Buckets => new Buckets(perSecond, limits.burstSeconds, now)
    this.#requests = of(limits.addressRequestsPerSecond)
    this.#addressBytes = of(limits.addressBytesPerSecond)
    this.#hostBytes = of(limits.hostBytesPerSecond)
    this.#tenantBytes = of(limits.tenantBytesPerSecond)
  }

  /** Before anything is done for a request. @throws TOO_MANY_REQUESTS with the time after which it can succeed */
  admit({ address, host, tenant }: Payer): void {
    const sender = address === undefined ? undefined : senderOf({ ip: address })
    refuse(this.#requests.owedMs(sender), 'Your address sends more requests than it may.')
    refuse(this.#addressBytes.owedMs(sender), 'Your address has taken more bytes than it may.')
    refuse(this.#hostBytes.owedMs(host), 'This host has sent more bytes than it may.')
    refuse(this.#tenantBytes.owedMs(tenant), 'The owner of this content has used up its bytes for now.')
    if (tenant === undefined) this.#requests.charge(sender, 1)
  }

  /** After an answer has ended, whole or not. */
  charge({ address, host, tenant }: Payer, bytes: number): void {
    this.#addressBytes.charge(address === undefined ? undefined : senderOf({ ip: address }), bytes)
    this.#hostBytes.charge(host, bytes)
    this.#tenantBytes.charge(tenant, bytes)
  }
}

function refuse(owedMs: number, sentence: string): void {
  if (owedMs <= 0) return
  const retryAfterSeconds = Math.ceil(owedMs / SECOND_MS)
  throw new HoldfastError('TOO_MANY_REQUESTS', `${sentence} Try again in ${retryAfterSeconds} s.`, {
    retryAfterSeconds,
  })
}

const REMEMBERED_KEYS = 50_000

/** One bucket for each key, as the time at which all that was taken will have been paid for. */
class Buckets {
  readonly #perSecond: number
  readonly #burstMs: number
  readonly #now: () => number
  /** In the order of use: the longest unused is forgotten first, and has most likely paid. */
  readonly #paidAt = new RecentMap<string | number, number>(REMEMBERED_KEYS)

  constructor(perSecond: number, burstSeconds: number, now: () => number) {
    this.#perSecond = perSecond
    this.#burstMs = burstSeconds * SECOND_MS
    this.#now = now
  }

  /** Milliseconds until the key may take something again; 0 when it may now. */
  owedMs(key: string | number | undefined): number {
    if (key === undefined || this.#perSecond === Number.POSITIVE_INFINITY) return 0
    const paidAt = this.#paidAt.get(key) ?? Number.NEGATIVE_INFINITY
    return Math.max(0, paidAt - this.#now() - this.#burstMs)
  }

  charge(key: string | number | undefined, amount: number): void {
    if (key === undefined || this.#perSecond === Number.POSITIVE_INFINITY) return
    const paidAt = Math.max(this.#paidAt.get(key) ?? 0, this.#now())
    this.#paidAt.set(key, paidAt + (amount / this.#perSecond) * SECOND_MS)
  }
}
