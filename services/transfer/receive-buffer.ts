import { KIB, MIB } from '../core/units.ts'

const SLAB_BYTES = 4 * MIB
const READ_BYTES = 64 * KIB

/**
 * Memory that a socket reads into, and that is read out as views: a block that arrives inside one slab is never copied.
 * Slabs are only ever appended to, so views stay valid for as long as somebody keeps them. Letting Node allocate a
 * buffer for each read instead is most of what HTTP costs a receiver.
 */
export class ReceiveBuffer {
  #slab: Buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  #start = 0
  #end = 0

  /** Bytes that have arrived and were not taken. */
  get available(): number {
    return this.#end - this.#start
  }

  /** Room for the socket's next read. */
  room(): Buffer {
    if (this.#end === this.#slab.length) this.#renew()
    return this.#slab.subarray(this.#end, this.#end + READ_BYTES)
  }

  /** Tells how much of the room was filled. */
  filled(length: number): void {
    this.#end += length
  }

  /** What is available, without taking it. */
  peek(): Uint8Array {
    return this.#slab.subarray(this.#start, this.#end)
  }

  take(length: number): Uint8Array {
    const piece = this.#slab.subarray(this.#start, this.#start + length)
    this.#start += length
    return piece
  }

  /** A new slab that begins with what was not taken. Short answers never make a connection hold a large one. */
  #renew(): void {
    const rest = this.peek()
    const size = Math.max(Math.min(SLAB_BYTES, this.#slab.length * 4), rest.length + MIB)
    const slab = Buffer.allocUnsafeSlow(size)
    slab.set(rest)
    this.#slab = slab
    this.#start = 0
    this.#end = rest.length
  }
}
