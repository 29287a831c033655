import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES, MAX_CAR_SECTION_BYTES } from '../core/limits.ts'

/**
 * A CAR section: varint(length of CID and bytes), CID, bytes. Segment files hold nothing else, so that a stored range
 * is a part of a CAR as it is. Specification: https://ipld.io/specs/transport/car/carv1/#data
 */
export interface Section {
  cid: CID
  /** Bytes before the block's own: varint and CID. */
  headBytes: number
  /** Bytes of the block. */
  length: number
}

/** Longest varint that a section can start with. */
const MAX_VARINT_BYTES = varint.encodingLength(MAX_CAR_SECTION_BYTES)

/** How many bytes stand before the block in a section of this CID and length. */
export function headBytesOf(cidBytes: Uint8Array, length: number): number {
  return varint.encodingLength(cidBytes.length + length) + cidBytes.length
}

/** Writes what stands before the block into `target` at `at`; answers where the block's bytes go. */
export function writeHead(target: Uint8Array, at: number, cidBytes: Uint8Array, length: number): number {
  const total = cidBytes.length + length
  varint.encodeTo(total, target, at)
  const afterVarint = at + varint.encodingLength(total)
  target.set(cidBytes, afterVarint)
  return afterVarint + cidBytes.length
}

/**
 * The section that starts at `at`: `'short'` when it does not end within `bytes`, undefined when no section of ours
 * starts there.
 */
export function parseSection(bytes: Uint8Array, at: number): Section | 'short' | undefined {
  const available = bytes.length - at
  try {
    const [total, varintBytes] = varint.decode(bytes.subarray(at, at + MAX_VARINT_BYTES))
    if (total < 4 || total > MAX_CAR_SECTION_BYTES) return undefined
    if (available < varintBytes + total) return 'short'
    const body = bytes.subarray(at + varintBytes, at + varintBytes + total)
    const [cid, block] = CID.decodeFirst(body)
    if (block.length > MAX_BLOCK_BYTES) return undefined
    return { cid, headBytes: varintBytes + cid.bytes.length, length: block.length }
  } catch {
    return available < MAX_VARINT_BYTES ? 'short' : undefined
  }
}
