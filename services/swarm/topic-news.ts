import { RecentMap } from '../core/recent-map.ts'

/** Keys whose news one hearer can have waiting; those that wait longest are not told. */
const MAX_WAITING = 1_024

export interface TopicValue {
  key: Uint8Array
  value: Uint8Array
}

/** Tells newer values to all who hear, and while nobody does, to who comes next. Of one key a slow hearer gets the last. */
export class TopicNews {
  readonly #hearers = new Set<Hearer>()
  #next = new Hearer()

  tell(news: TopicValue): void {
    if (this.#hearers.size === 0) this.#next.take(news)
    for (const hearer of this.#hearers) hearer.take(news)
  }

  /** What is told from now on; ends when the signal aborts. */
  async *hear(signal: AbortSignal): AsyncGenerator<TopicValue, void> {
    const hearer = this.#next
    this.#next = new Hearer()
    this.#hearers.add(hearer)
    const wake = (): void => hearer.wake()
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        yield* hearer.waiting()
        if (!signal.aborted) await hearer.more()
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#hearers.delete(hearer)
    }
  }
}

class Hearer {
  readonly #waiting = new RecentMap<string, TopicValue>(MAX_WAITING)
  #change = Promise.withResolvers<void>()

  take(news: TopicValue): void {
    this.#waiting.set(Buffer.from(news.key).toString('base64url'), news)
    this.wake()
  }

  wake(): void {
    this.#change.resolve()
  }

  *waiting(): Generator<TopicValue, void> {
    for (const [text, news] of this.#waiting) {
      this.#waiting.delete(text)
      yield news
    }
  }

  async more(): Promise<void> {
    if (this.#waiting.size === 0) await this.#change.promise
    this.#change = Promise.withResolvers<void>()
  }
}
