/**
 * Verified blocks in memory, the least recently used first to go. A full cache takes a newcomer only when that was asked
 * for more often than what would have to go (TinyLFU), so that one long download does not wash out what many read.
 */
export class BlockCache {
  readonly #capacityBytes: number
  readonly #blocks = new Map<string, Uint8Array>()
  readonly #frequency = new FrequencySketch()
  #bytes = 0

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether it is here; not counted as a use. */
  has(key: string): boolean {
    return this.#blocks.has(key)
  }

  get(key: string): Uint8Array | undefined {
    this.#frequency.count(key)
    const bytes = this.#blocks.get(key)
    if (bytes === undefined) return undefined
    this.#blocks.delete(key)
    this.#blocks.set(key, bytes)
    return bytes
  }

  /**
   * Offers a block that matches its CID. It is copied when it is part of a larger buffer, which would stay with it. Answers
   * whether these very bytes are kept, or were already.
   */
  offer(key: string, bytes: Uint8Array): boolean {
    const kept = this.#blocks.get(key)
    if (kept !== undefined || !this.#admits(key, bytes.length)) return kept === bytes
    const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)
    this.#blocks.set(key, own)
    this.#bytes += own.length
    this.#makeRoom()
    return own === bytes
  }

  /** No block takes more than a sixteenth: the cache is for what is small and often read. */
  #admits(key: string, length: number): boolean {
    if (length > this.#capacityBytes / 16) return false
    if (this.#bytes + length <= this.#capacityBytes) return true
    const [victim] = this.#blocks.keys()
    return victim === undefined || this.#frequency.of(key) > this.#frequency.of(victim)
  }

  #makeRoom(): void {
    for (const [key, bytes] of this.#blocks) {
      if (this.#bytes <= this.#capacityBytes) return
      this.#blocks.delete(key)
      this.#bytes -= bytes.length
    }
  }
}

const SKETCH_SLOTS = 1 << 16
const SKETCH_ROWS = 4
const MAX_COUNT = 15
/** After so many counts all are halved: what was popular yesterday makes room. */
const SKETCH_SAMPLE = SKETCH_SLOTS * 8

/** A count-min sketch: how often keys were asked for lately, in 256 KiB whatever their number. It never says too few. */
class FrequencySketch {
  readonly #counts = new Uint8Array(SKETCH_SLOTS * SKETCH_ROWS)
  #counted = 0

  count(key: string): void {
    for (const slot of slotsOf(key)) {
      const count = this.#counts[slot] ?? 0
      if (count < MAX_COUNT) this.#counts[slot] = count + 1
    }
    if (++this.#counted === SKETCH_SAMPLE) this.#age()
  }

  of(key: string): number {
    return Math.min(...slotsOf(key).map((slot) => this.#counts[slot] ?? 0))
  }

  #age(): void {
    this.#counted = 0
    for (let slot = 0; slot < this.#counts.length; slot++) this.#counts[slot] = (this.#counts[slot] ?? 0) >> 1
  }
}

/** The digest is a hash already: its last eight bytes are four slots, one a row. */
function slotsOf(key: string): [number, number, number, number] {
  const end = key.length
  const slot = (row: number): number => {
    const at = end - 2 * (row + 1)
    return row * SKETCH_SLOTS + ((key.charCodeAt(at) & 0xff) << 8) + (key.charCodeAt(at + 1) & 0xff)
  }
  return [slot(0), slot(1), slot(2), slot(3)]
}
