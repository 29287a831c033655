import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { CBOR, checkCid, DAG_CBOR, DAG_JSON, DAG_PB, isIdentity, JSON_CODEC, RAW } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'

/** A block that no source has; `cid` says which. Its code is BLOCK_MISSING. */
export class BlockMissing extends HoldfastError {
  readonly cid: CID

  constructor(cid: CID) {
    super('BLOCK_MISSING', `Block ${cid.toString()} is not there.`)
    this.cid = cid
  }
}

/**
 * The bytes of a block, wherever it is: inside its CID, or at the source.
 * @throws BLOCK_MISSING ({@link BlockMissing}); BLOCK_TOO_LARGE; what {@link checkCid} throws for a CID we do not accept
 */
export async function readBlock(cid: CID, source: BlockSource, options?: Abortable): Promise<Uint8Array> {
  checkCid(cid)
  if (isIdentity(cid)) return cid.multihash.digest
  const bytes = await source.get(cid, options)
  if (bytes === undefined) throw new BlockMissing(cid)
  checkBlockSize(cid, bytes.length)
  return bytes
}

/** @throws BLOCK_TOO_LARGE */
export function checkBlockSize(cid: CID, length: number): void {
  if (length > MAX_BLOCK_BYTES) {
    throw new HoldfastError('BLOCK_TOO_LARGE', `Block ${cid.toString()} is larger than ${MAX_BLOCK_BYTES} bytes.`)
  }
}

/** Whether the codec has no links, so that a block need not be read to know where it leads. */
export function isLinkless(codec: number): boolean {
  return codec === RAW || codec === CBOR || codec === JSON_CODEC
}

const CODEC_NAMES = new Map([
  [RAW, 'raw'],
  [DAG_PB, 'DAG-PB'],
  [DAG_CBOR, 'DAG-CBOR'],
  [DAG_JSON, 'DAG-JSON'],
  [CBOR, 'CBOR'],
  [JSON_CODEC, 'JSON'],
])

/** The failure of bytes that are not what their codec says. */
export function malformed(cid: CID, reason: string, cause?: unknown): HoldfastError {
  const codec = CODEC_NAMES.get(cid.code) ?? `codec 0x${cid.code.toString(16)}`
  return new HoldfastError('MALFORMED_BLOCK', `Block ${cid.toString()} is malformed ${codec}: ${reason}.`, { cause })
}
