const DIGEST_BYTES = 32
const FIRST_CAPACITY = 1_024
/** Share of slots in use beyond which the table grows: probes stay short. */
const FULL = 0.5

/**
 * Which of many 32 byte digests belong to which small number, in two flat arrays: about 45 bytes for each, where a Map
 * of strings takes 150. The digests are hashes already, so their first bytes are their slot.
 */
export class DigestTable {
  #digests = new Uint8Array(FIRST_CAPACITY * DIGEST_BYTES)
  #values = new Uint32Array(FIRST_CAPACITY)
  /** Index of an entry plus one; 0: empty. A power of two of them. */
  #slots = new Uint32Array(FIRST_CAPACITY / FULL)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Bytes that the arrays take. */
  get memoryBytes(): number {
    return this.#digests.byteLength + this.#values.byteLength + this.#slots.byteLength
  }

  /** Sets the number of a digest; a later one replaces it. */
  set(digest: Uint8Array, value: number): void {
    const slot = this.#slotOf(digest)
    const entry = this.#slots[slot] ?? 0
    if (entry > 0) {
      this.#values[entry - 1] = value
      return
    }
    if (this.#size === this.#values.length) {
      this.#grow()
      this.set(digest, value)
      return
    }
    this.#digests.set(digest, this.#size * DIGEST_BYTES)
    this.#values[this.#size] = value
    this.#size += 1
    this.#slots[slot] = this.#size
  }

  get(digest: Uint8Array): number | undefined {
    if (digest.length !== DIGEST_BYTES) return undefined
    const entry = this.#slots[this.#slotOf(digest)] ?? 0
    return entry === 0 ? undefined : this.#values[entry - 1]
  }

  /** The slot of the digest, or the empty one where it would be. */
  #slotOf(digest: Uint8Array): number {
    const mask = this.#slots.length - 1
    let slot = firstBits(digest, 0) & mask
    for (;;) {
      const entry = this.#slots[slot] ?? 0
      if (entry === 0 || this.#isAt((entry - 1) * DIGEST_BYTES, digest)) return slot
      slot = (slot + 1) & mask
    }
  }

  #isAt(offset: number, digest: Uint8Array): boolean {
    for (let index = 0; index < DIGEST_BYTES; index++) {
      if (this.#digests[offset + index] !== digest[index]) return false
    }
    return true
  }

  #grow(): void {
    const capacity = this.#values.length * 2
    const digests = new Uint8Array(capacity * DIGEST_BYTES)
    digests.set(this.#digests)
    const values = new Uint32Array(capacity)
    values.set(this.#values)
    const slots = new Uint32Array(capacity / FULL)
    for (let entry = 0; entry < this.#size; entry++) {
      let slot = firstBits(digests, entry * DIGEST_BYTES) & (slots.length - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
      slots[slot] = entry + 1
    }
    this.#digests = digests
    this.#values = values
    this.#slots = slots
  }
}

function firstBits(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
  )
}
