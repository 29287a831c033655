import { KIB, MIB } from './units.ts'

/** Smaller buffers are cheap to make and to collect. */
const MIN_BYTES = 128 * KIB
/** Sizes are rounded up to this, so that a buffer serves for all of about its size. */
const STEP_BYTES = 256 * KIB

/**
 * Large buffers that are used again. What streams by fills hundreds of them a second; left to the engine's collector, they
 * pile up outside its heap until it searches all of that for them, which took a third of the time of serving files.
 *
 * A buffer that is taken has one owner, who may give it back, once nobody reads it any more, or leave it to the collector.
 */
export class UsedBuffers {
  readonly #idleBytes: number
  readonly #idle = new Map<number, ArrayBuffer[]>()
  readonly #taken = new WeakSet<ArrayBufferLike>()
  #bytes = 0

  /** @param idleBytes that lie here for the next user at most */
  constructor(idleBytes = 16 * MIB) {
    this.#idleBytes = idleBytes
  }

  /** Bytes of any content. */
  take(length: number): Uint8Array {
    if (length < MIN_BYTES) return Buffer.allocUnsafe(length)
    const size = Math.ceil(length / STEP_BYTES) * STEP_BYTES
    const buffer = this.#idle.get(size)?.pop()
    if (buffer !== undefined) this.#bytes -= size
    const taken = buffer ?? Buffer.allocUnsafeSlow(size).buffer
    this.#taken.add(taken)
    return Buffer.from(taken, 0, length)
  }

  /** Takes back the whole buffer of which these bytes are a part; no effect when it is not of here, or kept. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#taken.delete(buffer)) return
    const size = buffer.byteLength
    if (this.#bytes + size > this.#idleBytes) return
    this.#bytes += size
    const idle = this.#idle.get(size)
    if (idle === undefined) this.#idle.set(size, [buffer as ArrayBuffer])
    else idle.push(buffer as ArrayBuffer)
  }

  /** These bytes have got further readers: giving them back has no effect from now on. */
  keep({ buffer }: Uint8Array): void {
    this.#taken.delete(buffer)
  }
}
