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

interface Vote<T> {
  /** Of the provider. */
  name: string
  answer: T
}

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
    const quorum = this.quorum
    return await this.#poll(work, asking, (votes) => {
      const alike = Object.values(Object.groupBy(votes, ({ answer }) => fingerprint(answer)))
      const agreed = alike.find((group) => group !== undefined && group.length >= quorum)
      return agreed?.[0] && { answer: agreed[0].answer, agreed }
    })
  }

  /**
   * The highest block that as many providers as the quorum have reached, counting only those that are at most `withinBlocks`
   * apart: one that claims to be far ahead or far behind is not believed, whichever is asked first.
   * @throws RpcFailure `refused` when there are no such providers
   */
  async agreedHeight(work: Work<bigint>, withinBlocks: bigint, asking: Asking = {}): Promise<bigint> {
    return await this.#poll(work, asking, (votes) => {
      const heights = votes.map(({ answer }) => answer).sort((a, b) => (a > b ? -1 : Number(a < b)))
      const answer = heights.find((lowest, index) => {
        const highest = heights[index + 1 - this.quorum]
        return highest !== undefined && highest - lowest <= withinBlocks
      })
      if (answer === undefined) return undefined
      return { answer, agreed: votes.filter((vote) => distance(vote.answer, answer) <= withinBlocks) }
    })
  }

  /** Asks as many providers as the quorum, then one after the other, until `decide` finds an answer among theirs. */
  async #poll<T>(
    work: Work<T>,
    asking: Asking,
    decide: (votes: readonly Vote<T>[]) => { answer: T; agreed: readonly Vote<T>[] } | undefined,
  ): Promise<T> {
    const asked = new Set<Provider>()
    const votes: Vote<T>[] = []
    const vote = async (): Promise<void> => {
      const { provider, answer } = await this.#askOne(work, asking, asked)
      votes.push({ name: provider.name, answer })
    }
    const first = await Promise.allSettled(Array.from({ length: this.quorum }, vote))
    const failed = first.find((result) => result.status === 'rejected')
    for (;;) {
      asking.signal?.throwIfAborted()
      const decided = decide(votes)
      if (decided !== undefined) {
        const agreed = decided.agreed.map(({ name }) => name)
        const dissenting = votes.flatMap((other) => (decided.agreed.includes(other) ? [] : other.name))
        if (dissenting.length > 0) for (const heard of this.#onDisagree) heard({ agreed, dissenting })
        return decided.answer
      }
      if (asked.size === this.providers.length) throw this.#noQuorum(votes.length, failed?.reason)
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
    return atLeast === undefined || (await provider.hasReached(atLeast, signal))
  }

  /** Until one of those that are left may be asked again. */
  async #rest({ signal }: Asking, asked: ReadonlySet<Provider>): Promise<void> {
    const pauses = this.providers.filter((provider) => !asked.has(provider)).map(({ pauseMs }) => pauseMs)
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, Math.min(...pauses)))
    await delay(waitMs, undefined, signal === undefined ? {} : { signal })
  }
}

function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a
}

/** For providers that are behind: a block or two. */
const SHORTEST_WAIT_MS = SECOND_MS / 4
