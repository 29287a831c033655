import * as dagPb from '@ipld/dag-pb'
import type { PBLink } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { hash } from 'node:crypto'
import type { BlockSink } from '../core/block-source.ts'
import { DAG_PB, SHA2_256 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { hamtHash, hamtPlace, hamtPrefix, hamtShape } from './hamt.ts'
import type { ImportRecord } from './import-record.ts'
import type { TreeDirectory, TreeEntry } from './directory-tree.ts'
import { HAMT_HASH } from './node.ts'
import { HAMT_FANOUT, HAMT_THRESHOLD_BYTES, type Profile } from './profile.ts'
import { Turns } from './turns.ts'
import { varintLength } from './varint.ts'

/**
 * Writes the directories of an import, from the deepest up, each as one block or as a HAMT. The tree builder of
 * `ipfs-unixfs-importer` is not used: it leaves subdirectories out of a directory's size, so that one with thousands of
 * them gets another CID than Kubo's, or a block too large to send; and it takes `\/` for an escaped slash.
 */
export class DirectoryWriter {
  readonly #sink: BlockSink
  readonly #record: ImportRecord
  readonly #profile: Profile
  readonly #turns = new Turns(LINKS_PER_TURN)

  constructor(sink: BlockSink, record: ImportRecord, profile: Profile) {
    this.#sink = sink
    this.#record = record
    this.#profile = profile
  }

  /** Writes a directory and those below it (at most as many levels as a path has segments). Answers its entry. */
  async write(directory: TreeDirectory): Promise<TreeEntry> {
    const links: PBLink[] = []
    let size = this.#profile.directorySize === 'block' ? DATA_BYTES : 0
    for (const [name, child] of directory) {
      const { number, tsize } = child instanceof Map ? await this.write(child) : child
      const link = { Name: name, Tsize: tsize, Hash: this.#record.cid(number) }
      size += this.#profile.directorySize === 'block' ? blockBytesOf(link) : nameAndCidBytesOf(link)
      links.push(link)
      if (this.#turns.due()) await this.#turns.turn()
    }
    return size > HAMT_THRESHOLD_BYTES ? this.#writeHamt(links) : this.#put(new UnixFS({ type: 'directory' }), links)
  }

  async #writeHamt(links: readonly PBLink[]): Promise<TreeEntry> {
    const entries: HashedLink[] = []
    for (const link of links) {
      entries.push({ link, hash: hamtHash(link.Name ?? '') })
      if (this.#turns.due()) await this.#turns.turn()
    }
    return this.#writeShard(entries, 0)
  }

  async #writeShard(entries: readonly HashedLink[], level: number): Promise<TreeEntry> {
    if (level >= SHAPE.maxLevels) {
      throw new HoldfastError('BAD_REQUEST', 'Names in a directory have the same hash, so that it cannot be divided.')
    }
    const links: PBLink[] = []
    const bitField = new Uint8Array(HAMT_FANOUT / 8)
    for (const [place, group] of groupByPlace(entries, level)) {
      // Bit 0 is the lowest bit of the last byte, as in a big-endian number.
      const byte = bitField.length - 1 - (place >> 3)
      bitField[byte] = (bitField[byte] as number) | (1 << (place & 7))
      links.push(await this.#linkFor(hamtPrefix(place, SHAPE), group, level))
      if (this.#turns.due()) await this.#turns.turn()
    }
    const firstByte = bitField.findIndex((byte) => byte !== 0)
    const data = bitField.subarray(firstByte)
    const fanout = BigInt(HAMT_FANOUT)
    return this.#put(new UnixFS({ type: 'hamt-sharded-directory', data, fanout, hashType: BigInt(HAMT_HASH) }), links)
  }

  async #linkFor(prefix: string, group: readonly HashedLink[], level: number): Promise<PBLink> {
    const [first, second] = group
    if (first !== undefined && second === undefined) return { ...first.link, Name: prefix + (first.link.Name ?? '') }
    const { number, tsize } = await this.#writeShard(group, level + 1)
    return { Name: prefix, Tsize: tsize, Hash: this.#record.cid(number) }
  }

  async #put(data: UnixFS, links: PBLink[]): Promise<TreeEntry> {
    const bytes = dagPb.encode(dagPb.prepare({ Data: data.marshal(), Links: links }))
    const multihash = createDigest(SHA2_256, new Uint8Array(hash('sha256', bytes, 'buffer')))
    const cid = CID.create(this.#profile.cidVersion, DAG_PB, multihash)
    const number = this.#record.add(cid, bytes)
    if (!this.#sink.has(cid)) await this.#sink.put(cid, bytes)
    return { number, tsize: links.reduce((sum, link) => sum + (link.Tsize ?? 0), bytes.length) }
  }
}

/** Links hashed or written between two turns of the event loop. */
const LINKS_PER_TURN = 512

interface HashedLink {
  link: PBLink
  hash: bigint
}

const SHAPE = hamtShape(HAMT_FANOUT)

/** The Data field of a directory without attributes: its tag and length, then type and value. */
const DATA_BYTES = 4

/** The bytes that a link takes in a directory's block: Hash, Name and Tsize, each with tag and length. */
function blockBytesOf({ Hash, Name = '', Tsize = 0 }: PBLink): number {
  const name = Buffer.byteLength(Name)
  const cid = Hash.bytes.length
  const link = 1 + varintLength(cid) + cid + 1 + varintLength(name) + name + 1 + varintLength(Tsize)
  return 1 + varintLength(link) + link
}

function nameAndCidBytesOf({ Hash, Name = '' }: PBLink): number {
  return Buffer.byteLength(Name) + Hash.bytes.length
}

function groupByPlace(entries: readonly HashedLink[], level: number): [number, HashedLink[]][] {
  const groups = Map.groupBy(entries, ({ hash }) => hamtPlace(hash, SHAPE, level))
  return [...groups].sort(([a], [b]) => a - b)
}
