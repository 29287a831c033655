import { KIB, MIB } from '../core/units.ts'

const FIRST_SLAB_BYTES = 64 * KIB
const SLAB_BYTES = 4 * MIB
const READ_BYTES = 64 * KIB

/**
 * Memory that a socket reads into, and that is read out as views, so that a block is copied only where it crosses two
 * slabs. A view stays as it is until something more is taken; slabs are used again after that. Letting Node allocate a
 * buffer for each read instead is most of what HTTP costs a receiver, and new slabs would keep the collector busy.
 */
export class ReceiveBuffer {
  #slab: Buffer = Buffer.allocUnsafeSlow(FIRST_SLAB_BYTES)
  #start = 0
  #end = 0
  /** Full-sized slabs that were read out, but for the last view. */
  #spare: Buffer[] = []
  /** The slab of the last view. */
  #viewed: Buffer = this.#slab

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

  /** A view of the next bytes, good until the next call. */
  take(length: number): Uint8Array {
    const piece = this.#slab.subarray(this.#start, this.#start + length)
    this.#start += length
    this.#viewed = this.#slab
    return piece
  }

  /** Goes on in another slab, which begins with what was not taken. */
  #renew(): void {
    const rest = this.peek()
    const next = this.#nextSlab(rest.length)
    next.set(rest)
    if (this.#slab.length === SLAB_BYTES) this.#spare.push(this.#slab)
    this.#slab = next
    this.#start = 0
    this.#end = rest.length
  }

  /** Slabs grow to their full size, so that a connection for short answers never holds a large one. */
  #nextSlab(restBytes: number): Buffer {
    const size = Math.max(Math.min(SLAB_BYTES, this.#slab.length * 4), restBytes + MIB)
    if (size !== SLAB_BYTES) return Buffer.allocUnsafeSlow(size)
    const free = this.#spare.findIndex((slab) => slab !== this.#viewed)
    return free < 0 ? Buffer.allocUnsafeSlow(size) : (this.#spare.splice(free, 1)[0] as Buffer)
  }
}
