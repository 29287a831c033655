import { MAX_CAR_SECTION_BYTES } from '../core/limits.ts'
import { MIB } from '../core/units.ts'
import { readAt } from './file-io.ts'
import { parseSection, type Section } from './section.ts'

export interface ScannedSection extends Section {
  /** Where it starts in the file. */
  offset: number
  /** The block; valid until the next is asked for. */
  bytes: Uint8Array
}

/** Holds at least one whole section. */
const WINDOW_BYTES = Math.max(4 * MIB, MAX_CAR_SECTION_BYTES)

/** The sections of a segment from `from`, in order; ends at the end of the file or where no whole section follows. */
export async function* scanSegment(fd: number, from: number): AsyncGenerator<ScannedSection, void, undefined> {
  const window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  let offset = from
  for (;;) {
    const filled = window.subarray(0, await readAt(fd, window, offset))
    let at = 0
    while (at < filled.length) {
      const section = parseSection(filled, at)
      if (section === undefined) return
      if (section === 'short') break
      const end = at + section.headBytes + section.length
      yield { ...section, offset: offset + at, bytes: filled.subarray(at + section.headBytes, end) }
      at = end
    }
    if (at === 0) return
    offset += at
  }
}
