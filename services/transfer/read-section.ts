import { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'
import { MAX_CAR_SECTION_BYTES, MAX_CID_BYTES } from '../core/limits.ts'
import { verify } from '../core/verify.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { MAX_VARINT_BYTES, readVarint, type Cursor } from '../dag/varint.ts'
import type { Exchange } from './exchange.ts'

/**
 * The next CAR section of an answer, verified: a view that is good until more is read, or with `keep` a copy. Its length is looked at before anything is waited for.
 * @throws UPSTREAM_FAILED when it is no section; HASH_MISMATCH; TIMED_OUT
 */
export async function readSection(exchange: Exchange, { keep = false } = {}): Promise<Block> {
  const window = Math.min(exchange.left, MAX_VARINT_BYTES + MAX_CID_BYTES)
  const cursor: Cursor = { bytes: await exchange.peek(window), offset: 0 }
  const length = readVarint(cursor)
  if (length === undefined || length === 0 || length > MAX_CAR_SECTION_BYTES) throw noSection()
  const section = await exchange.take(cursor.offset + length)
  const body = section.subarray(cursor.offset)
  const block = split(keep ? Uint8Array.from(body) : body)
  verify(block.cid, block.bytes)
  return block
}

function split(section: Uint8Array): Block {
  try {
    const [cid, bytes] = CID.decodeFirst(section)
    return { cid, bytes }
  } catch (cause) {
    throw noSection(cause)
  }
}

function noSection(cause?: unknown): HoldfastError {
  return new HoldfastError('UPSTREAM_FAILED', 'A node sent something that is no CAR section.', { cause })
}
