import { unlessAborted } from '../core/unless-aborted.ts'
import type { IpnsName } from './ipns-name.ts'
import { verifyIpnsRecord, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'
import { asFailure, type RecordSearch, type RecordSource } from './record-source.ts'

/** A place that gives records one after the other, as they come in: many peers of the DHT. Nothing it gives is trusted. */
export interface RecordStream {
  /** Of the place, for log lines. */
  readonly label: string
  /** Bytes of records of the name, in any order; it ends when the place knows no more. */
  find(name: IpnsName, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>
}

/** A place that does not come to an end is heard no further. Twenty peers store a record, and each may have another one. */
const MAX_ANSWERS = 32

/**
 * A search that asks all sources at once. The first valid answer comes at once; the others are waited for behind it, each
 * until it ends or the signal aborts. One that fails, hangs or lies holds up none of the others.
 */
export function askAtOnce(sources: readonly (RecordSource | RecordStream)[]): RecordSearch {
  return async function* search(name, { signal }) {
    const stop = new AbortController()
    const race = new Race(name, AbortSignal.any([signal, stop.signal]))
    try {
      for (const source of sources) race.enter(source)
      for (let newest = await race.next(); newest !== undefined; newest = await race.next()) yield newest
      race.throwFailure()
    } finally {
      stop.abort()
      race.close()
    }
  }
}

interface Runner {
  answers: AsyncIterator<Uint8Array>
  heard: number
}

type Turn = { runner: Runner; bytes: Uint8Array | undefined } | { runner: Runner; failure: unknown }

class Race {
  readonly #name: IpnsName
  readonly #signal: AbortSignal
  /** What each source that has not ended will say next. */
  readonly #turns = new Map<Runner, Promise<Turn>>()
  readonly #entered: AsyncIterator<Uint8Array>[] = []
  #newest: IpnsRecord | undefined
  #failure: unknown

  constructor(name: IpnsName, signal: AbortSignal) {
    this.#name = name
    this.#signal = signal
  }

  enter(source: RecordSource | RecordStream): void {
    const answers = ('find' in source ? source.find.bind(source) : once(source))(this.#name, { signal: this.#signal })
    const runner = { answers: answers[Symbol.asyncIterator](), heard: 0 }
    this.#entered.push(runner.answers)
    this.#await(runner)
  }

  /** Lets all sources give back what they hold. */
  close(): void {
    for (const answers of this.#entered) answers.return?.().catch(() => {})
  }

  /** The next record that is newer than all before; undefined when every source has ended. @throws the signal's reason */
  async next(): Promise<IpnsRecord | undefined> {
    while (this.#turns.size > 0) {
      const turn = await Promise.race(this.#turns.values())
      this.#signal.throwIfAborted()
      this.#turns.delete(turn.runner)
      if ('failure' in turn) this.#failure = turn.failure
      else if (turn.bytes !== undefined) {
        if (++turn.runner.heard < MAX_ANSWERS) this.#await(turn.runner)
        if (this.#isNews(turn.bytes)) return this.#newest
      }
    }
    return undefined
  }

  /** When no source gave a record and at least one failed. @throws UPSTREAM_FAILED */
  throwFailure(): void {
    if (this.#newest === undefined && this.#failure !== undefined) throw asFailure(this.#failure)
  }

  #await(runner: Runner): void {
    const next = unlessAborted(runner.answers.next(), this.#signal)
    const turn = next.then(
      ({ done, value }): Turn => ({ runner, bytes: done === true ? undefined : value }),
      (failure: unknown): Turn => ({ runner, failure }),
    )
    this.#turns.set(runner, turn)
  }

  #isNews(bytes: Uint8Array): boolean {
    try {
      const record = verifyIpnsRecord(this.#name, bytes)
      if (this.#newest !== undefined && compareRecords(record, this.#newest) <= 0) return false
      this.#newest = record
      return true
    } catch (cause) {
      this.#failure = cause
      return false
    }
  }
}

function once(source: RecordSource): RecordStream['find'] {
  return async function* find(name, options) {
    const bytes = await source.get(name, options)
    if (bytes !== undefined) yield bytes
  }
}
