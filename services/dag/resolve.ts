import type { PBLink } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { DAG_CBOR, DAG_JSON, isIdentity } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { decodeValue } from './decode-value.ts'
import type { Block } from './fetch-dag.ts'
import { checkShard, hamtHash, hamtLookup, hamtPlace, hamtShape } from './hamt.ts'
import { unixfsNode, type HamtNode } from './node.ts'
import { isLinkless, readBlock } from './read-block.ts'

export interface Resolved {
  /** The block that the path leads to, or leads into. */
  cid: CID
  /** Segments that lead to a field inside the DAG-CBOR or DAG-JSON block `cid`; empty when the path ends at the block. */
  remainder: string[]
  /** The root and the block that each link on the path leads to; the last is `cid`. Shards of a HAMT are not among them. */
  path: CID[]
  /** The blocks read on the way, in order, shards too, without `cid` and identity blocks: the proof of the path. */
  proof: Block[]
}

/** What one step found: where the link leads and how many segments it took, or that the path ends inside the block. */
type Step = { link: CID; taken: number } | { inside: true }

/**
 * Follows a path through UnixFS directories (plain and HAMT), links of other DAG-PB by name, and fields of DAG-CBOR and
 * DAG-JSON. Reads only blocks on the path, and not the one that it ends at. Symlinks are not followed.
 * @throws NOT_FOUND, which names the segment; BAD_REQUEST for more than 256 segments; BLOCK_MISSING, MALFORMED_BLOCK,
 *   BLOCK_TOO_LARGE, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC
 */
export async function resolve(
  root: CID,
  segments: readonly string[],
  source: BlockSource,
  options: Abortable = {},
): Promise<Resolved> {
  if (segments.length > MAX_PATH_SEGMENTS) {
    throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
  }
  const path = [root]
  const proof: Block[] = []
  let cid = root
  let rest = [...segments]
  while (rest.length > 0) {
    const reads = new Reads(source, options, proof)
    const step = await follow(cid, rest, reads)
    if ('inside' in step) {
      proof.splice(reads.first)
      break
    }
    cid = step.link
    path.push(cid)
    rest = rest.slice(step.taken)
  }
  return { cid, remainder: rest, path, proof }
}

/** Reads blocks and keeps them as proof. */
class Reads {
  readonly #source: BlockSource
  readonly #options: Abortable
  readonly #proof: Block[]
  /** Index in the proof of the first block that these reads add. */
  readonly first: number

  constructor(source: BlockSource, options: Abortable, proof: Block[]) {
    this.#source = source
    this.#options = options
    this.#proof = proof
    this.first = proof.length
  }

  async block(cid: CID): Promise<Uint8Array> {
    const bytes = await readBlock(cid, this.#source, this.#options)
    if (!isIdentity(cid)) this.#proof.push({ cid, bytes })
    return bytes
  }
}

async function follow(cid: CID, segments: readonly string[], reads: Reads): Promise<Step> {
  const segment = segments[0] as string
  if (isLinkless(cid.code)) throw notFound(cid, segment)
  if (cid.code === DAG_CBOR || cid.code === DAG_JSON) {
    return followFields(cid, decodeValue(cid, await reads.block(cid)), segments)
  }
  const node = unixfsNode(cid, await reads.block(cid))
  if (node.type === 'hamt') return entry(cid, segment, await lookupInShards(cid, node, segment, reads))
  if (node.type === 'directory' || node.type === 'links') return entry(cid, segment, linkNamed(node.links, segment))
  throw notFound(cid, segment)
}

function entry(cid: CID, segment: string, link: PBLink | undefined): Step {
  if (link === undefined) throw notFound(cid, segment)
  return { link: link.Hash, taken: 1 }
}

function linkNamed(links: readonly PBLink[], name: string): PBLink | undefined {
  return links.find((link) => (link.Name ?? '') === name)
}

async function lookupInShards(root: CID, node: HamtNode, name: string, reads: Reads): Promise<PBLink | undefined> {
  const shape = hamtShape(node.fanout)
  const hash = hamtHash(name)
  let cid = root
  let shard = node
  for (let level = 0; ; level++) {
    checkShard(cid, shard, shape, level)
    const link = hamtLookup(shard, name, hamtPlace(hash, shape, level), shape)
    if (link === undefined || (link.Name ?? '').length > shape.prefixLength) return link
    cid = link.Hash
    shard = unixfsNode(cid, await reads.block(cid)) as HamtNode
  }
}

function followFields(cid: CID, root: unknown, segments: readonly string[]): Step {
  let value = root
  for (const [index, segment] of segments.entries()) {
    value = fieldOf(value, segment)
    if (value === undefined) throw notFound(cid, segment)
    if (value instanceof CID) return { link: value, taken: index + 1 }
  }
  return { inside: true }
}

/** The field of a map, or the element of a list; undefined when there is none. */
function fieldOf(value: unknown, segment: string): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined
  if (Array.isArray(value)) return /^(0|[1-9]\d{0,8})$/.test(segment) ? (value[Number(segment)] as unknown) : undefined
  return Object.hasOwn(value, segment) ? (value as Record<string, unknown>)[segment] : undefined
}

function notFound(cid: CID, segment: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `No link named ${JSON.stringify(segment)} under ${cid.toString()}.`)
}
