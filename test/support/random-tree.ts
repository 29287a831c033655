import { UnixFS } from 'ipfs-unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { DAG_CBOR } from '../../services/core/cid.ts'
import { hamtHash, hamtPlace, hamtPrefix, hamtShape } from '../../services/dag/hamt.ts'
import { pseudoRandomBytes, type MemoryBlocks } from './dag.ts'

/** How a file is cut: leaves of some length, or nodes over further cuts. */
export type Cut = number | Cut[]

/** A DAG of every kind that a gateway shows. */
export type Tree =
  | { kind: 'file'; cut: Cut; seed: number }
  | { kind: 'folder'; isSharded: boolean; entries: [name: string, tree: Tree][] }
  | { kind: 'symlink'; target: string }
  | { kind: 'map'; entries: [name: string, tree: Tree][] }

export const cuts = fc.letrec<{ cut: Cut }>((tie) => ({
  cut: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.integer({ min: 0, max: 700 }),
    fc.array(tie('cut'), { minLength: 1, maxLength: 5 }),
  ),
})).cut

export const names = fc.oneof(
  fc.constantFrom('index.html', 'a.txt', 'image.png'),
  fc.stringMatching(/^[a-z0-9 %+=é"<&]{1,12}$/).filter((text) => text.trim() !== ''),
)

const entriesOf = (tree: fc.Arbitrary<Tree>): fc.Arbitrary<[string, Tree][]> =>
  fc.uniqueArray(fc.tuple(names, tree), { maxLength: 5, selector: ([name]) => name })

export const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('file' as const), cut: cuts, seed: fc.nat() }),
    fc.record({ kind: fc.constant('folder' as const), isSharded: fc.boolean(), entries: entriesOf(tie('tree')) }),
    fc.record({ kind: fc.constant('symlink' as const), target: names }),
    fc.record({ kind: fc.constant('map' as const), entries: entriesOf(tie('tree')) }),
  ),
})).tree

/** Writes the tree's blocks and answers its root. */
export function addTree(blocks: MemoryBlocks, tree: Tree): CID {
  if (tree.kind === 'file') return addCutFile(blocks, tree.cut, tree.seed).cid
  if (tree.kind === 'symlink')
    return blocks.addPb(new UnixFS({ type: 'symlink', data: Buffer.from(tree.target) }).marshal())
  const entries = tree.entries.map(([name, child]): [string, CID] => [name, addTree(blocks, child)])
  if (tree.kind === 'map') return blocks.add(DAG_CBOR, dagCbor.encode(Object.fromEntries(entries)))
  return tree.isSharded ? addShard(blocks, entries, 0) : blocks.addDirectory(entries)
}

/** Writes a file cut like this, and answers its root and bytes. */
export function addCutFile(blocks: MemoryBlocks, cut: Cut, seed: number): { cid: CID; bytes: Buffer } {
  if (typeof cut === 'number') {
    const bytes = Buffer.from(pseudoRandomBytes(seed, cut))
    return { cid: blocks.addRaw(bytes), bytes }
  }
  const parts = cut.map((part, index) => addCutFile(blocks, part, (seed * 31 + index) % 2 ** 31))
  const cid = blocks.addFileNode(
    parts.map((part) => part.cid),
    parts.map(({ bytes }) => bytes.length),
  )
  return { cid, bytes: Buffer.concat(parts.map(({ bytes }) => bytes)) }
}

/** A narrow one, so that few entries make several levels. */
const SHAPE = hamtShape(8)
const MURMUR3 = 0x22n

function addShard(blocks: MemoryBlocks, entries: readonly [string, CID][], level: number): CID {
  const places = Map.groupBy(entries, ([name]) => hamtPlace(hamtHash(name), SHAPE, level))
  const links = [...places]
    .toSorted(([a], [b]) => a - b)
    .map(([place, [first, ...more]]) => {
      const prefix = hamtPrefix(place, SHAPE)
      const [name, cid] = first as [string, CID]
      const group = [first as [string, CID], ...more]
      return more.length === 0
        ? { Name: prefix + name, Tsize: 1, Hash: cid }
        : { Name: prefix, Tsize: 1, Hash: addShard(blocks, group, level + 1) }
    })
  const bits = [...places.keys()].reduce((field, place) => field | (1 << place), 0)
  const data = bits === 0 ? new Uint8Array() : Uint8Array.of(bits)
  return blocks.addPb(
    new UnixFS({ type: 'hamt-sharded-directory', data, fanout: 8n, hashType: MURMUR3 }).marshal(),
    links,
  )
}
