import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { Provider, type ProviderOptions } from './provider.ts'
import { hasKind, RpcFailure } from './rpc-failure.ts'

export interface Asking {
  /** Only providers that have this block are asked. @default any */
  atLeast?: bigint
  signal?: AbortSignal
}

export interface Disagreement {
  /** Names of providers. */
  agreed: string[]
  dissenting: string[]
}

export interface PoolOptions {
  /** Providers that must give the same answer where {@link ProviderPool.agreed} is asked. @default 1 */
  quorum?: number
  onDisagree?: OnDisagree
}

type OnDisagree = (disagreement: Disagreement) => void

type Work<T> = (provider: Provider, signal: AbortSignal | undefined) => Promise<T>

/** Turns of all providers before a call has failed. */
const ROUNDS = 5
const LONGEST_WAIT_MS = 30 * SECOND_MS

/** The providers of one chain: the best one is asked, others when it is away, busy or behind, several where it matters. */
export class ProviderPool {
  readonly providers: readonly Provider[]
  /** Providers that must give the same answer. */
  readonly quorum: number
  readonly #onDisagree: Set<OnDisagree>

  /** @throws CONFIG when there are fewer providers than must agree */
  constructor(providers: readonly ProviderOptions[], { quorum = 1, onDisagree }: PoolOptions = {}) {
    if (providers.length < Math.max(1, quorum)) {
      throw new HoldfastError('CONFIG', `${quorum} providers must agree, but only ${providers.length} are configured.`)
    }
    this.providers = providers.map((options) => new Provider(options))
    this.quorum = quorum
    this.#onDisagree = new Set(onDisagree === undefined ? [] : [onDisagree])
  }

  /** Calls back when providers give different answers. Answers how to stop. */
  onDisagree(heard: OnDisagree): () => void {
    this.#onDisagree.add(heard)
    return () => this.#onDisagree.delete(heard)
  }

  /**
   * What the best provider answers; the next one is asked when it fails for a reason of its own.
   * @throws RpcFailure of the last one asked; the signal's reason
   */
  async ask<T>(work: Work<T>, asking: Asking = {}): Promise<T> {
    return (await this.#askOne(work, asking, new Set())).answer
  }

  /**
   * What as many providers as the quorum answer alike, whatever single ones say: the answers are compared by `fingerprint`.
   * The question must have one answer only, so it names its block by hash.
   * @throws RpcFailure `refused` when there is no such answer
   */
  async agreed<T>(work: Work<T>, fingerprint: (answer: T) => string, asking: Asking = {}): Promise<T> {
    const asked = new Set<Provider>()
    const votes = new Map<string, { answer: T; names: string[] }>()
    const vote = async (): Promise<void> => {
      const { provider, answer } = await this.#askOne(work, asking, asked)
      const print = fingerprint(answer)
      const same = votes.get(print)
      if (same === undefined) votes.set(print, { answer, names: [provider.name] })
      else same.names.push(provider.name)
    }
    const first = await Promise.allSettled(Array.from({ length: this.quorum }, vote))
    const failed = first.find((result) => result.status === 'rejected')
    for (;;) {
      asking.signal?.throwIfAborted()
      const winner = [...votes.values()].find(({ names }) => names.length >= this.quorum)
      if (winner !== undefined) {
        const dissenting = [...votes.values()].flatMap((other) => (other === winner ? [] : other.names))
        const disagreement = { agreed: winner.names, dissenting }
        if (dissenting.length > 0) for (const heard of this.#onDisagree) heard(disagreement)
        return winner.answer
      }
      if (asked.size === this.providers.length) throw this.#noQuorum(votes.size, failed?.reason)
      await vote()
    }
  }

  #noQuorum(answers: number, reason: unknown): unknown {
    if (answers < 2) return reason
    return new RpcFailure('refused', `Fewer than ${this.quorum} providers of the chain agree on an answer.`)
  }

  /** Asks one provider that is not among `asked`, and counts it there. */
  async #askOne<T>(work: Work<T>, asking: Asking, asked: Set<Provider>): Promise<{ provider: Provider; answer: T }> {
    let failure: unknown = new RpcFailure('behind', 'No provider of the chain has this block.')
    for (let round = 0; round < ROUNDS; round++) {
      for (const provider of this.#best()) {
        if (asked.has(provider)) continue
        if (provider.pauseMs > 0) continue
        asking.signal?.throwIfAborted()
        asked.add(provider)
        try {
          if (await this.#has(provider, asking)) return { provider, answer: await work(provider, asking.signal) }
        } catch (error) {
          failure = error
          if (!hasKind(error, 'unreachable', 'busy', 'behind')) throw error
        }
        asked.delete(provider)
      }
      if (round < ROUNDS - 1) await this.#rest(asking, asked)
    }
    throw failure
  }

  #best(): Provider[] {
    return [...this.providers].sort((a, b) => a.rank - b.rank)
  }

  async #has(provider: Provider, { atLeast, signal }: Asking): Promise<boolean> {
    return atLeast === undefined || (await provider.head(signal)) >= atLeast
  }

  /** Until one of those that are left may be asked again. */
  async #rest({ signal }: Asking, asked: ReadonlySet<Provider>): Promise<void> {
    const pauses = this.providers.filter((provider) => !asked.has(provider)).map(({ pauseMs }) => pauseMs)
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, Math.min(...pauses)))
    await delay(waitMs, undefined, signal === undefined ? {} : { signal })
  }
}

/** For providers that are behind: a block or two. */
const SHORTEST_WAIT_MS = SECOND_MS / 4
