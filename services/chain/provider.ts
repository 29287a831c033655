import { setTimeout as delay } from 'node:timers/promises'
import { SECOND_MS } from '../core/units.ts'
import { numberOfHex } from './hex.ts'
import { JsonRpc, type RpcCall, type RpcOptions, type RpcResult } from './json-rpc.ts'
import { RpcFailure } from './rpc-failure.ts'

/** What a provider can do, as far as it was told or has been found out. */
export interface ProviderLimits {
  /** How tokens are read: by a state override, by init code that reverts, or call by call. */
  way: 'override' | 'init-code' | 'plain'
  /** Tokens of one probe. */
  probeItems: number
  /** Calls of one batch; 1: it takes none. */
  batchCalls: number
  /** Gas of one call. */
  callGas: number
  /** Blocks whose logs are asked for at once. */
  logBlocks: number
}

const DEFAULT_LIMITS: ProviderLimits = {
  way: 'override',
  probeItems: 500,
  batchCalls: 100,
  // The least that a client grants (EIP-7825).
  callGas: 16_700_000,
  // What most providers take; those that take more are found out.
  logBlocks: 10_000,
}

export interface ProviderOptions extends RpcOptions {
  /** In logs and alarms, where the URL may not stand. */
  name: string
  /** Requests a second. @default no limit */
  perSecond?: number
  /** What was learned of it before. */
  limits?: Partial<ProviderLimits>
}

/** How old the height of a provider may be. */
const HEAD_AGE_MS = SECOND_MS
const FIRST_PAUSE_MS = SECOND_MS / 2
const LONGEST_PAUSE_MS = 60 * SECOND_MS

/** A server of the chain's JSON-RPC, at the pace that it allows, with what was learned of it. */
export class Provider {
  readonly name: string
  readonly limits: ProviderLimits
  readonly #rpc: JsonRpc
  readonly #everyMs: number
  #nextAt = 0
  #pausedUntil = 0
  #failures = 0
  #latencyMs = 0
  #head: { at: number; number: Promise<bigint> } | undefined

  constructor({ name, perSecond, limits, ...rpc }: ProviderOptions) {
    this.name = name
    this.limits = { ...DEFAULT_LIMITS, ...limits }
    this.#rpc = new JsonRpc(rpc)
    this.#everyMs = perSecond === undefined ? 0 : SECOND_MS / perSecond
  }

  /** @throws RpcFailure */
  call(call: RpcCall, signal?: AbortSignal): Promise<unknown> {
    return this.#paced(() => this.#rpc.call(call, signal), signal)
  }

  /**
   * Calls in batches as large as the provider takes, answered in their order.
   * @throws RpcFailure when a batch failed as a whole
   */
  async batch(calls: readonly RpcCall[], signal?: AbortSignal): Promise<RpcResult[]> {
    const results: RpcResult[] = []
    while (results.length < calls.length) {
      const next = calls.slice(results.length, results.length + this.limits.batchCalls)
      try {
        results.push(...(await this.#batchOf(next, signal)))
      } catch (error) {
        const isTooLarge = error instanceof RpcFailure && (error.kind === 'too-much' || error.kind === 'unsupported')
        if (!isTooLarge || this.limits.batchCalls === 1) throw error
        this.limits.batchCalls = Math.max(1, Math.floor(next.length / 2))
      }
    }
    return results
  }

  async #batchOf(calls: readonly RpcCall[], signal: AbortSignal | undefined): Promise<RpcResult[]> {
    if (this.limits.batchCalls > 1) return await this.#paced(() => this.#rpc.batch(calls, signal), signal)
    const [only] = calls
    if (only === undefined) return []
    try {
      return [{ result: await this.call(only, signal) }]
    } catch (error) {
      if (error instanceof RpcFailure) return [{ failure: error }]
      throw error
    }
  }

  /** Whether it has the block; it is asked for its height again when that was known not to reach so far. */
  async hasReached(block: bigint, signal?: AbortSignal): Promise<boolean> {
    const known = this.#head
    const isKnown = known !== undefined && performance.now() - known.at <= HEAD_AGE_MS
    if (isKnown && (await known.number) >= block) return true
    const number = this.#readHead(signal)
    const head = { at: performance.now(), number }
    this.#head = head
    number.catch(() => {
      if (this.#head === head) this.#head = undefined
    })
    return (await number) >= block
  }

  async #readHead(signal: AbortSignal | undefined): Promise<bigint> {
    const number = numberOfHex(await this.call({ method: 'eth_blockNumber', params: [] }, signal))
    if (number === undefined) throw new RpcFailure('unreachable', `The provider ${this.name} tells no height.`)
    return number
  }

  /** Milliseconds until it may be asked again. */
  get pauseMs(): number {
    return Math.max(0, this.#pausedUntil - performance.now())
  }

  /** Smaller is better: those that failed lately come last, then the slower ones. */
  get rank(): number {
    return this.#failures * 10 * SECOND_MS + this.#latencyMs
  }

  async #paced<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const now = performance.now()
    const startAt = Math.max(now, this.#nextAt)
    this.#nextAt = startAt + this.#everyMs
    if (startAt > now) await delay(startAt - now, undefined, signal === undefined ? {} : { signal })
    const sentAt = performance.now()
    try {
      const answer = await work()
      this.#answered(performance.now() - sentAt)
      return answer
    } catch (error) {
      if (error instanceof RpcFailure) this.#failed(error, performance.now() - sentAt)
      throw error
    }
  }

  #answered(ms: number): void {
    this.#failures = 0
    this.#latencyMs = this.#latencyMs === 0 ? ms : 0.8 * this.#latencyMs + 0.2 * ms
  }

  /** A provider that refuses one call has answered; one that is busy or away is left alone for longer and longer. */
  #failed({ kind, retryAfterMs }: RpcFailure, ms: number): void {
    if (kind !== 'busy' && kind !== 'unreachable') {
      this.#answered(ms)
      return
    }
    this.#failures += 1
    const pauseMs = retryAfterMs ?? FIRST_PAUSE_MS * 2 ** (this.#failures - 1)
    this.#pausedUntil = performance.now() + Math.min(LONGEST_PAUSE_MS, pauseMs)
  }
}
