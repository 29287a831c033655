import { open, readFile, rename } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { FEED_BEGIN, FeedPlace, placeText, type NamePage, type NameSink } from '../core/name-feed.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { pause } from '../runtime/loop.ts'

/** Asks the control plane for names. `kept`: how far they are on this node's disk. */
export type FetchNames = (places: { after: FeedPlace; kept: FeedPlace }) => Promise<NamePage>

/** Files that are written at once. */
const WRITES = 16
/** Records that are checked before others have their turn. */
const CHECKS = 32
const RETRY_MS = 5 * SECOND_MS

export interface NamesFeedOptions {
  log: Log
  /** What the disk would not take is tried again so soon. Default 5 s. */
  retryMs?: number
}

/**
 * Follows the feed of names: what it brings is served at once and kept on disk behind. How far it is kept stands in a
 * file, so that after a restart only what came since is asked for.
 */
export class NamesFeed {
  readonly #file: string
  readonly #sink: NameSink
  readonly #log: Log
  readonly #retryMs: number
  /** How far names are served, and how far they are kept: behind it only while the disk takes nothing. */
  #at: FeedPlace
  #kept: FeedPlace
  #heard = ''
  /** What was heard when all of it was got and kept last. */
  #followed = ''
  #wake: (() => void) | undefined

  private constructor(
    file: string,
    { kept, sink, log, retryMs }: Required<NamesFeedOptions> & { kept: FeedPlace; sink: NameSink },
  ) {
    this.#file = file
    this.#retryMs = retryMs
    this.#sink = sink
    this.#log = log
    this.#at = kept
    this.#kept = kept
  }

  /** Opens at the place that the file says; without a file that can be read, at the beginning. */
  static async open(file: string, sink: NameSink, { log, retryMs = RETRY_MS }: NamesFeedOptions): Promise<NamesFeed> {
    return new NamesFeed(file, { kept: await readPlace(file), sink, log, retryMs })
  }

  /** Where the feed was last said to end. */
  get heard(): string {
    return this.#heard
  }

  hear(end: string): void {
    this.#heard = end
    this.#wake?.()
  }

  /**
   * Waits until there is something, and gets all of it.
   * @throws what `fetch` throws; it is called again after that
   */
  async follow(fetch: FetchNames, signal: AbortSignal): Promise<void> {
    await this.#news(signal)
    const end = this.#heard
    while (!signal.aborted) {
      const page = await fetch({ after: this.#at, kept: this.#kept })
      if (page.names.length === 0 && placeText(page.at) === placeText(this.#at)) break
      await this.#take(page)
    }
    if (placeText(this.#at) === placeText(this.#kept)) {
      this.#followed = end
      return
    }
    await pause(this.#retryMs, signal)
    this.#at = this.#kept
  }

  /** Resolves once it is told of an end that it has not followed to. */
  async #news(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#heard !== this.#followed) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => resolve()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    await promise
    signal.removeEventListener('abort', wake)
    this.#wake = undefined
  }

  async #take({ names, at }: NamePage): Promise<void> {
    const records = names.map(({ name, record }) => ({ name, record: Buffer.from(record, 'base64') }))
    for (const [index, { name, record }] of records.entries()) {
      this.#unlessRefused(name, () => this.#sink.offer(name, record))
      if (index % CHECKS === CHECKS - 1) await turn()
    }
    const isGapless = placeText(this.#at) === placeText(this.#kept)
    this.#at = at
    if (!isGapless) return
    try {
      await inParallel(records, WRITES, async ({ name, record }) => {
        await this.#sink.keep(name, record).catch((error: unknown) => this.#refused(name, error))
      })
      await writePlace(this.#file, at)
      this.#kept = at
    } catch (error) {
      this.#log.error({ err: error, retryMs: this.#retryMs }, 'names are served, but the disk does not take them')
    }
  }

  #unlessRefused(name: string, offer: () => void): void {
    try {
      offer()
    } catch (error) {
      this.#refused(name, error)
    }
  }

  /** A record that is not one holds nothing up. */
  #refused(name: string, error: unknown): void {
    if (!hasCode(error, 'INVALID_RECORD', 'INVALID_NAME')) throw error
    this.#log.error({ err: error, name }, 'the feed of names brought what is no record of the name')
  }
}

/** @throws the first failure, when all that were begun have ended */
async function inParallel<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function readPlace(file: string): Promise<FeedPlace> {
  try {
    return FeedPlace.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return FEED_BEGIN
  }
}

/** Whole or not at all; a crash before it costs a page that is got again. */
async function writePlace(file: string, place: FeedPlace): Promise<void> {
  const draft = `${file}.new`
  try {
    await using handle = await open(draft, 'w', 0o600)
    await handle.writeFile(JSON.stringify(place))
    await handle.datasync()
    await rename(draft, file)
  } catch (cause) {
    throw new HoldfastError('STORAGE_FAILED', 'The place in the feed of names cannot be kept.', { cause })
  }
}
