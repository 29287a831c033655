import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Abortable } from '../core/block-source.ts'
import { checkCid, DAG_CBOR, IDENTITY, isIdentity } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import {
  MAX_BLOCK_BYTES,
  MAX_CAR_HEADER_BYTES,
  MAX_CAR_ROOTS,
  MAX_CAR_SECTION_BYTES,
  MAX_CID_BYTES,
} from '../core/limits.ts'
import { KIB } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import { ByteReader } from './byte-reader.ts'
import { decodeValue } from './decode-value.ts'
import type { Block } from './fetch-dag.ts'
import { MAX_VARINT_BYTES, readVarint, type Cursor } from './varint.ts'

export interface Car {
  /** In the order of the header; possibly none, possibly not among the blocks. */
  roots: CID[]
  /**
   * The blocks in the order of the stream, repetitions too, each verified against its CID; identity blocks are left out.
   * `bytes` may be a view of a chunk of the source, so the source must not reuse its chunks. To be read once.
   */
  blocks: AsyncIterable<Block>
}

/** What stands before a CARv2: the section of a header whose version is 2. */
const PRAGMA_V2_BYTES = 11
const HEADER_V2_BYTES = 40
/** Padding that we let pass between the header of a CARv2 and its payload. */
const MAX_PADDING_BYTES = 64 * KIB

/**
 * Reads a CARv1, or the CARv1 inside a CARv2 (ipld.io/specs/transport/car): incremental, holding one section at most.
 * Lengths are checked before anything is held or decoded. Nothing is said about whether the DAG is complete.
 * @throws INVALID_CAR here, and from `blocks` also HASH_MISMATCH, BLOCK_TOO_LARGE, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC,
 *   INVALID_CID. The source is closed when reading ends, however it ends.
 */
export async function readCar(source: AsyncIterable<Uint8Array>, options: Abortable = {}): Promise<Car> {
  const reader = new ByteReader(source)
  try {
    let end = Infinity
    let header = await readHeader(reader)
    if (header.version === 2) {
      end = await openPayload(reader)
      header = await readHeader(reader)
    }
    if (header.version !== 1) throw invalidCar(`its version is ${String(header.version)}, not 1 or 2`)
    return { roots: rootsOf(header.roots), blocks: readSections(reader, end, options) }
  } catch (error) {
    await reader.close()
    throw error
  }
}

/** A CAR header is DAG-CBOR without a CID of its own. */
const HEADER_CID = CID.createV1(DAG_CBOR, createDigest(IDENTITY, new Uint8Array(0)))

async function readHeader(reader: ByteReader): Promise<{ version: unknown; roots: unknown }> {
  const length = await readLength(reader)
  if (length === undefined) throw invalidCar('it is empty')
  if (length < 1 || length > MAX_CAR_HEADER_BYTES) throw invalidCar('its header has an impossible length')
  if (!(await reader.fill(length))) throw invalidCar('it ends inside the header')
  const header = decodeHeader(reader.take(length))
  if (typeof header !== 'object' || header === null) throw invalidCar('its header is no map')
  return { version: valueOf(header, 'version'), roots: valueOf(header, 'roots') }
}

function decodeHeader(bytes: Uint8Array): unknown {
  try {
    return decodeValue(HEADER_CID, bytes)
  } catch (cause) {
    throw invalidCar('its header is not DAG-CBOR', cause)
  }
}

function valueOf(map: object, key: string): unknown {
  return Object.hasOwn(map, key) ? (map as Record<string, unknown>)[key] : undefined
}

function rootsOf(roots: unknown): CID[] {
  if (!Array.isArray(roots)) throw invalidCar('its header has no list of roots')
  if (roots.length > MAX_CAR_ROOTS) throw invalidCar(`it has more than ${MAX_CAR_ROOTS} roots`)
  return roots.map((root: unknown) => {
    if (root instanceof CID) return checkCid(root)
    throw invalidCar('a root is no CID')
  })
}

/** Skips to the payload of a CARv2, and answers the position of its end. */
async function openPayload(reader: ByteReader): Promise<number> {
  if (!(await reader.fill(HEADER_V2_BYTES))) throw invalidCar('it ends inside the header')
  const header = Buffer.from(reader.take(HEADER_V2_BYTES))
  const start = Number(header.readBigUInt64LE(16))
  const size = Number(header.readBigUInt64LE(24))
  const padding = start - PRAGMA_V2_BYTES - HEADER_V2_BYTES
  if (padding < 0 || padding > MAX_PADDING_BYTES) throw invalidCar('its payload is at an impossible place')
  if (!(await reader.skip(padding))) throw invalidCar('it ends before its payload')
  return start + size
}

async function* readSections(reader: ByteReader, end: number, options: Abortable): AsyncGenerator<Block> {
  try {
    while (reader.position < end) {
      options.signal?.throwIfAborted()
      const length = await readLength(reader)
      if (length === undefined) {
        if (end === Infinity) return
        throw invalidCar('it ends before its payload does')
      }
      if (length === 0) throw invalidCar('a section is empty')
      if (length > MAX_CAR_SECTION_BYTES) throw blockTooLarge()
      if (reader.position + length > end) throw invalidCar('a section goes beyond the payload')
      if (reader.available < length && !(await reader.fill(length))) throw invalidCar('it ends inside a section')
      const block = toBlock(reader.take(length))
      if (block !== undefined) yield block
    }
  } finally {
    await reader.close()
  }
}

/** The verified block of a section; undefined for an identity block, whose bytes are in its CID. */
function toBlock(section: Uint8Array): Block | undefined {
  const { cid, length } = decodeCid(section)
  checkCid(cid)
  if (isIdentity(cid)) return undefined
  const bytes = section.subarray(length)
  if (bytes.length > MAX_BLOCK_BYTES) throw blockTooLarge()
  verify(cid, bytes)
  return { cid, bytes }
}

/** The CID, in bytes of its own so that it does not hold on to the chunk it was read from. */
function decodeCid(section: Uint8Array): { cid: CID; length: number } {
  const length = cidLength(section)
  if (length > MAX_CID_BYTES) {
    throw new HoldfastError('HASH_NOT_ALLOWED', `A block of the CAR has a CID of more than ${MAX_CID_BYTES} bytes.`)
  }
  if (length > section.length) throw invalidCar('a section is shorter than its CID')
  try {
    return { cid: CID.decode(new Uint8Array(section.subarray(0, length))), length }
  } catch (cause) {
    throw invalidCar('a section does not begin with a CID', cause)
  }
}

function cidLength(section: Uint8Array): number {
  try {
    return CID.inspectBytes(section.subarray(0, MAX_CID_BYTES)).size
  } catch (cause) {
    throw invalidCar('a section does not begin with a CID', cause)
  }
}

/** The length before a section or header; undefined at the end of the stream. */
async function readLength(reader: ByteReader): Promise<number | undefined> {
  if (reader.available < MAX_VARINT_BYTES) await reader.fill(MAX_VARINT_BYTES)
  if (reader.available === 0) return undefined
  const cursor: Cursor = { bytes: reader.peek(MAX_VARINT_BYTES), offset: 0 }
  const length = readVarint(cursor)
  if (length === undefined) throw invalidCar('a length is cut off or too large')
  reader.take(cursor.offset)
  return length
}

function invalidCar(reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError('INVALID_CAR', `This is not a valid CAR: ${reason}.`, { cause })
}

function blockTooLarge(): HoldfastError {
  return new HoldfastError('BLOCK_TOO_LARGE', `A block of the CAR is larger than ${MAX_BLOCK_BYTES} bytes.`)
}
