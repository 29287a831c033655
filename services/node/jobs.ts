import { CID } from 'multiformats/cid'
import type { BlockStore } from '../blocks/contract.ts'
import { denied } from '../core/denylists.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'
import type { Work } from '../core/sync.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import type { PeerClient } from '../swarm/client.ts'
import type { TransferClient } from '../transfer/client.ts'
import { replicateSmall } from '../transfer/replicate-small.ts'
import { Slots } from '../transfer/slots.ts'
import { hold, isPermanent } from './hold.ts'
import type { Outbox } from './outbox.ts'

export interface JobsOptions {
  store: BlockStore
  client: TransferClient
  peer: Pick<PeerClient, 'fetch' | 'provide'>
  outbox: Outbox
  /** Roots that are denied are not taken on; what is held stays. */
  rules: Pick<RulesInForce, 'denylists'>
  log: Log
}

type Hold = Extract<Work, { verb: 'hold' }>

interface Job {
  work: Work
  root: CID
  stop: AbortController
  /** Nothing was told yet that the next report would not repeat. */
  isNews: boolean
  phase: string
  bytes: number
  blocks: number
  toldAt: number
}

/** Work that is taken on, running and waiting. */
const MAX_JOBS = 256
/** Of it, roots to be looked for in the network: these wait for long, and must leave room for what nodes have. */
const MAX_SEEKS = 64
/** At once: copies from nodes fill the link with few, fetches from the network mostly wait. */
const COPIES = 4
const FETCHES = 16
const BATCHES = 2
/** Progress is told this often at most. */
const TELL_EVERY_MS = SECOND_MS
/** A lease is kept by telling of progress this many times while it lasts. */
const TELLS_PER_LEASE = 3
const MAX_MESSAGE = 1_000

/**
 * The work of this node: a bounded amount of it, for each root one piece after the other. Many small roots from one node
 * travel together. Outcomes and progress go to the outbox.
 */
export class Jobs implements AsyncDisposable {
  readonly #options: JobsOptions
  readonly #jobs = new Map<string, Job>()
  /** The end of the newest piece of work for each root. */
  readonly #tails = new Map<string, Promise<void>>()
  readonly #running = new Set<Promise<void>>()
  readonly #copies = new Slots(COPIES, MAX_JOBS)
  readonly #fetches = new Slots(FETCHES, MAX_JOBS)
  readonly #batches = new Slots(BATCHES, MAX_JOBS)
  readonly #timer: NodeJS.Timeout
  readonly #unprovided: CID[] = []
  #closed = false

  constructor(options: JobsOptions) {
    this.#options = options
    this.#timer = setInterval(() => {
      this.#tell()
      this.#provide()
    }, TELL_EVERY_MS)
  }

  /** How much more work is welcome. */
  get free(): number {
    return this.#closed ? 0 : Math.max(0, MAX_JOBS - this.#jobs.size)
  }

  /** How much of it may be roots that no node has. */
  get freeSeeks(): number {
    const seeks = [...this.#jobs.values()].filter(({ work }) => isSeek(work)).length
    return Math.min(this.free, Math.max(0, MAX_SEEKS - seeks))
  }

  /** Takes on work; what is under way under the same lease goes on, and an older lease for the content is given up. */
  accept(works: readonly Work[]): void {
    const bySource = new Map<string, Job[]>()
    for (const work of works) {
      if (this.#closed || this.#jobs.has(work.lease)) continue
      for (const { work: old } of this.#jobs.values()) if (old.contentId === work.contentId) this.abandon([old.lease])
      const job = this.#open(work)
      if (job === undefined) continue
      const source = this.#batchSource(job)
      if (source === undefined) this.#start(job)
      else bySource.set(source, [...(bySource.get(source) ?? []), job])
    }
    for (const [source, jobs] of bySource) this.#startTogether(source, jobs)
  }

  /** Stops work whose lease is no longer current; nothing more is told of it. */
  abandon(leases: readonly string[]): void {
    for (const lease of leases) {
      this.#jobs.get(lease)?.stop.abort(new HoldfastError('CONFLICT', 'The lease of this work has ended.'))
      this.#jobs.delete(lease)
    }
  }

  /** Stops everything and waits until it has stopped. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.abandon([...this.#jobs.keys()])
    await Promise.all(this.#running)
  }

  #open(work: Work): Job | undefined {
    try {
      const root = CID.parse(work.root)
      const denial = work.verb === 'hold' && this.#options.rules.denylists.block(root)
      if (denial && this.#options.store.root(root) === undefined) {
        this.#fail(work, denied(denial))
        return undefined
      }
      const stop = new AbortController()
      const job = { work, root, stop, isNews: true, phase: 'waiting', bytes: 0, blocks: 0, toldAt: performance.now() }
      this.#jobs.set(work.lease, job)
      return job
    } catch {
      this.#fail(work, new HoldfastError('INVALID_CID', 'The root is no CID.'))
      return undefined
    }
  }

  /** The node from which the root may come in a batch: it is new here and nothing else happens to it. */
  #batchSource({ work, root }: Job): string | undefined {
    if (work.verb !== 'hold' || this.#tails.has(work.root)) return undefined
    return this.#options.store.root(root) === undefined ? work.sources[0] : undefined
  }

  #startTogether(source: string, jobs: readonly Job[]): void {
    const batch = this.#batch(source, jobs)
    for (const job of jobs) this.#start(job, batch)
  }

  /** Tries to get all of them in one go; whatever it did not get is obtained one by one, and says there why. */
  async #batch(source: string, jobs: readonly Job[]): Promise<void> {
    const { store, client, log } = this.#options
    const signal = AbortSignal.any(jobs.map(({ stop }) => stop.signal))
    try {
      using _ = await this.#batches.enter(signal)
      await replicateSmall({ roots: jobs.map(({ root }) => root), source, store, client, signal })
    } catch (error) {
      log.debug({ err: error, source, roots: jobs.length }, 'a batch of roots ended early')
    }
  }

  #start(job: Job, before?: Promise<void>): void {
    const { root } = job.work
    const tail = Promise.all([this.#tails.get(root), before]).then(() => this.#run(job))
    this.#tails.set(root, tail)
    this.#running.add(tail)
    void tail.finally(() => {
      this.#running.delete(tail)
      if (this.#tails.get(root) === tail) this.#tails.delete(root)
    })
  }

  async #run(job: Job): Promise<void> {
    const { work, stop } = job
    try {
      stop.signal.throwIfAborted()
      if (work.verb === 'hold') await this.#hold(job, work)
      else await this.#release(job)
    } catch (error) {
      // Abandoned: nobody waits for the outcome any more.
      if (!stop.signal.aborted) this.#fail(work, error)
    } finally {
      if (this.#jobs.get(work.lease) === job) this.#jobs.delete(work.lease)
    }
  }

  async #hold(job: Job, work: Hold): Promise<void> {
    const { store, client, peer, outbox } = this.#options
    const { signal } = job.stop
    const { contentId, lease } = work
    using _ = await (work.sources.length > 0 ? this.#copies : this.#fetches).enter(signal)
    Object.assign(job, { phase: 'starting', isNews: true })
    const check = await hold({
      root: job.root,
      sources: work.sources,
      origins: work.origins,
      maxBytes: work.maxBytes,
      store,
      client,
      peer,
      signal,
      onProgress: (phase, progress) => Object.assign(job, { phase, ...progress, isNews: true }),
      onStored: ({ bytes, blocks }) => outbox.add({ outcome: 'stored', contentId, lease, bytes, blocks }),
    })
    signal.throwIfAborted()
    outbox.add({ outcome: 'verified', contentId, lease, bytes: check.bytes, blocks: check.blocks })
    this.#unprovided.push(job.root)
  }

  /** Announces what was verified since the last time; what the peer does not take now is announced by its next round. */
  #provide(): void {
    const { peer, log } = this.#options
    const roots = this.#unprovided.splice(0)
    if (roots.length === 0) return
    const provided = peer.provide(roots).catch((error: unknown) => log.debug({ err: error }, 'roots were not provided'))
    this.#running.add(provided)
    void provided.finally(() => this.#running.delete(provided))
  }

  async #release({ work, root, stop }: Job): Promise<void> {
    stop.signal.throwIfAborted()
    await this.#options.store.releaseRoot(root)
    this.#options.outbox.add({ outcome: 'released', contentId: work.contentId, lease: work.lease })
  }

  #fail({ contentId, lease, root, verb }: Work, error: unknown): void {
    const { log, outbox } = this.#options
    const permanent = isPermanent(error)
    if (hasCode(error)) log.warn({ err: error, root, verb, permanent }, 'work failed')
    else log.error({ err: error, root, verb }, 'work failed by a defect')
    const known = hasCode(error) ? error : new HoldfastError('INTERNAL_ERROR', 'This node has a defect.')
    const message = known.message.slice(0, MAX_MESSAGE)
    outbox.add({ outcome: 'failed', contentId, lease, code: known.code, message, permanent })
  }

  #tell(): void {
    const now = performance.now()
    for (const job of this.#jobs.values()) {
      const { contentId, lease, leaseMs } = job.work
      if (!job.isNews && now - job.toldAt < leaseMs / TELLS_PER_LEASE) continue
      if (job.phase === 'waiting' && now - job.toldAt < leaseMs / TELLS_PER_LEASE) continue
      job.isNews = false
      job.toldAt = now
      const { phase, bytes, blocks } = job
      this.#options.outbox.add({ outcome: 'progress', contentId, lease, phase, bytes, blocks })
    }
  }
}

function isSeek(work: Work): boolean {
  return work.verb === 'hold' && work.sources.length === 0
}
