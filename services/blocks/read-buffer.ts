import { KIB } from '../core/units.ts'

/** Sizes are rounded up to this, so that reads of almost the same size share a buffer. */
const STEP_BYTES = 64 * KIB

/**
 * Memory for one read after another. A long read that took new memory for each MiB would leave it behind faster than
 * the collector gives it back.
 */
export class ReadBuffer {
  #buffer: Buffer = Buffer.alloc(0)

  /** Room of that size; what was taken before is overwritten. */
  take(bytes: number): Buffer {
    if (bytes > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafeSlow(bytes < STEP_BYTES ? bytes : Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
    }
    return this.#buffer.subarray(0, bytes)
  }
}
