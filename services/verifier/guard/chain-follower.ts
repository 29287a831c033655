import {
  commitBack,
  commitBlocks,
  commitFinal,
  followedAddresses,
  isGuarded,
  readChain,
  type NewTouch,
} from '../../catalog/chains.ts'
import { oldestOpenBlock } from '../../catalog/guards-work.ts'
import type { Leading } from '../../catalog/leases-fence.ts'
import { nextStep, type KnownChain, type Step } from '../../chain/follow/follow-chain.ts'
import { readFinal, type Header } from '../../chain/follow/header.ts'
import { blocksToKeep } from '../../chain/follow/known-chain.ts'
import { touchesOf, TOUCHING_TOPICS } from '../../chain/follow/token-touches.ts'
import { hasCode } from '../../core/errors.ts'
import { SECOND_MS } from '../../core/units.ts'
import { BlockPace } from './block-pace.ts'
import { asksWhatIsFinal, UNKNOWN_PACE, withAnswer, withBlocks, withoutAbove, withRest } from './finality-pace.ts'
import type { FollowedChain, GuardParts } from './parts.ts'

/** With nothing to guard the chain is not asked for anything. */
const IDLE_MS = 2 * SECOND_MS
const MOST_BEHIND = 64n
/** Chains with logs that are not in the filters of their blocks: those of Polygon's state syncs. */
const FILTERS_LACK_LOGS = new Set(['eip155:137', 'eip155:80002'])

/** What came of a pass: how long to wait for the next, and whether there is something to read. */
export interface Pass {
  waitMs: number
  isTouched: boolean
  isSettled: boolean
}

/**
 * Follows one chain for all guards together, step by step; what is known of it is in the database, and a copy here. One
 * process leads at a time, and a step counts only if it was taken from where the one before ended.
 */
export class ChainFollower {
  readonly #parts: GuardParts
  readonly #pace: BlockPace
  /** Undefined until it is read, and when another process has changed it. */
  #known: KnownChain | undefined
  #epoch = -1
  /** When the chain was last seen to change. */
  #movedAt = performance.now()
  #finality = UNKNOWN_PACE
  /** Whether the filters of blocks told of the logs that the blocks have; undefined until there were some. */
  #filters: 'right' | 'wrong' | undefined
  #chainId = ''
  /** Blocks that are still to come. */
  #behind = 0n
  /** Contracts whose events were asked for the last time. */
  #addresses = 0

  constructor(parts: GuardParts) {
    this.#parts = parts
    this.#pace = new BlockPace(parts.settings.pollMs)
  }

  /**
   * What is known of the chain now; undefined when nothing is, another process leads, or the newest blocks are still to come:
   * few providers keep the state of old ones.
   */
  view(chainId: string, leading: Leading): FollowedChain | undefined {
    if (this.#known === undefined || this.#epoch !== leading.epoch || this.#known.blocks.length === 0) return undefined
    if (this.#behind > MOST_BEHIND) return undefined
    return { id: chainId, leading, known: this.#known }
  }

  /** @throws RpcFailure; the failures of the database. The pass is to be repeated */
  async pass(chainId: string, leading: Leading): Promise<Pass> {
    const { db } = this.#parts
    this.#chainId = chainId
    if (!(await isGuarded(db, chainId))) return { waitMs: IDLE_MS, isTouched: false, isSettled: false }
    if (this.#epoch !== leading.epoch) {
      this.#known = undefined
      this.#finality = UNKNOWN_PACE
      this.#filters = FILTERS_LACK_LOGS.has(chainId) ? 'wrong' : undefined
    }
    this.#epoch = leading.epoch
    try {
      return await this.#step(leading, this.#known ?? (await readChain(db, chainId)))
    } catch (error) {
      // Somebody else leads now, or has changed what is known.
      if (!hasCode(error, 'CONFLICT')) throw error
      this.#known = undefined
      return { waitMs: SECOND_MS / 4, isTouched: false, isSettled: false }
    }
  }

  async #step(leading: Leading, known: KnownChain): Promise<Pass> {
    const { db, pool, settings, signal } = this.#parts
    this.#known = known
    const top = known.blocks.at(-1)
    const from = { chainId: this.#chainId, base: top?.hash }
    const addresses = top === undefined ? [] : await followedAddresses(db, leading, { ...from, top: top.number })
    const isJoined = addresses.length > this.#addresses
    this.#addresses = addresses.length
    const isStuck = performance.now() - this.#movedAt >= settings.stuckMs
    const filter = { addresses, topics: TOUCHING_TOPICS }
    const trustsFilters = this.#filters === 'right'
    const step = await nextStep(known, { pool, filter, minDepth: settings.minDepth, isStuck, trustsFilters, signal })
    if (step.kind === 'rest') return await this.#rest(step.head, leading, isJoined)
    this.#movedAt = performance.now()
    if (step.kind === 'back') return await this.#back(step, leading, known)
    const pass = await this.#on(step, leading, known)
    return { ...pass, isTouched: pass.isTouched || isJoined }
  }

  async #rest(head: Header, leading: Leading, isTouched: boolean): Promise<Pass> {
    this.#finality = withRest(this.#finality)
    const isSettled = await this.#askFinal(head, leading)
    return { waitMs: this.#pace.afterRest(), isTouched, isSettled }
  }

  async #back({ to, isBroken }: Step & { kind: 'back' }, leading: Leading, known: KnownChain): Promise<Pass> {
    const { db, log, settings } = this.#parts
    const from = { chainId: this.#chainId, base: known.blocks.at(-1)?.hash }
    await commitBack(db, leading, from, { to: to?.number, isBroken, orphanMs: settings.orphanMs })
    const block = String(to?.number)
    if (isBroken) log.error({ chain: this.#chainId, block }, 'blocks that were final are not on the chain any more')
    else log.debug({ chain: this.#chainId, block }, 'the chain was reorganised')
    const above = to?.number ?? -1n
    this.#finality = withoutAbove(this.#finality, above)
    this.#known = {
      blocks: known.blocks.filter(({ number }) => number <= above),
      final: known.final < above ? known.final : above,
    }
    return { waitMs: 0, isTouched: true, isSettled: false }
  }

  async #on(
    { blocks, logs, head, isRange, saved, filters }: Step & { kind: 'on' },
    leading: Leading,
    known: KnownChain,
  ): Promise<Pass> {
    const from = { chainId: this.#chainId, base: known.blocks.at(-1)?.hash }
    const all = [...known.blocks, ...blocks]
    const kept = blocksToKeep(all)
    const keptNumbers = new Set(kept.map(({ number }) => number))
    const dropped = known.blocks.flatMap(({ number }) => (keptNumbers.has(number) ? [] : [number]))
    const newest = blocks.at(-1)?.number ?? 0n
    const numbers = new Set(blocks.map(({ number }) => number))
    const touches = logs.flatMap((log): NewTouch[] =>
      touchesOf(log).map(({ ids, isUpgrade }) => {
        // Of a range only its last block is known by its hash.
        const block = numbers.has(log.block) ? log.block : newest
        return { address: log.address, block, ids, isUpgrade }
      }),
    )
    const news = blocks.map(({ number, hash }) => ({ number, hash }))
    const wereWrong = filters === 'wrong' && this.#filters === 'right'
    const mayLack = isRange || wereWrong
    await commitBlocks(this.#parts.db, leading, from, { blocks: news, dropped, touches, mayLack })
    this.#behind = head.number - newest
    this.#known = { ...known, blocks: kept.map(({ number, hash }) => ({ number, hash })) }
    if (this.#filters !== 'wrong') this.#filters = filters ?? this.#filters
    const { finalityBlocks } = this.#parts.settings
    this.#finality = withBlocks(this.#finality, blocks.length, { saved, each: 1 / finalityBlocks })
    const isSettled = await this.#askFinal(head, leading)
    // Those that are guarded join at a chain that is known.
    const isWhole = newest >= head.number && known.blocks.length > 0
    const waitMs = this.#pace.after(head)
    return { waitMs: isWhole ? waitMs : 0, isTouched: touches.length > 0 || mayLack, isSettled }
  }

  /** Asks what is final when that may have changed, while something waits for it. Answers whether more is. */
  async #askFinal(head: Header, leading: Leading): Promise<boolean> {
    const { db, pool, settings, signal } = this.#parts
    const deep = head.number - BigInt(settings.minDepth)
    const waitsFor = await oldestOpenBlock(db, this.#chainId)
    if (this.#known === undefined || waitsFor === undefined || waitsFor > deep) return false
    if (asksWhatIsFinal(this.#finality, { head: head.number, waitsFor })) {
      const answer = { head: head.number, final: await readFinal(pool, signal) }
      this.#finality = withAnswer(this.#finality, answer)
    }
    const final = this.#finality.final < deep ? this.#finality.final : deep
    if (final < waitsFor || final <= this.#known.final) return false
    await commitFinal(db, leading, this.#chainId, final)
    this.#known = { ...this.#known, final }
    return true
  }
}
