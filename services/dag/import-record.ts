import { CID, type Version } from 'multiformats/cid'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import type { ManifestEntry } from '../core/block-source.ts'
import { DAG_PB, RAW } from '../core/cid.ts'
import { linksOf } from './links.ts'
import { multihashKey } from './multihash-key.ts'
import { BlockMissing } from './read-block.ts'

const NO_CHILDREN = new Uint32Array(0)
const UNKNOWN = -1

/**
 * What a UnixFS import has put, enough to list a manifest without reading a block back: each block's CID, its length, and
 * the numbers of the blocks it links to. About 200 bytes a block.
 */
export class ImportRecord {
  readonly #version: Version
  readonly #numbers = new Map<string, number>()
  /** Codec (one character) and multihash, by number. */
  readonly #keys: string[] = []
  readonly #lengths: number[] = []
  /** By number; absent for leaves. */
  readonly #children = new Map<number, Uint32Array>()
  /** Blocks with the same bytes but another codec, both ways: a file may hold the bytes of a directory's block. */
  readonly #twins = new Map<number, number>()

  /** @param version that of the DAG-PB CIDs */
  constructor(version: Version) {
    this.#version = version
  }

  /** Notes a block that was put. Answers its number. */
  add(cid: CID, bytes: Uint8Array): number {
    const number = this.#numberOf(cid)
    if (this.#lengths[number] !== UNKNOWN) return number
    this.#lengths[number] = bytes.length
    const links = linksOf(cid, bytes)
    if (links.length > 0)
      this.#children.set(
        number,
        Uint32Array.from(links, (link) => this.#numberOf(link)),
      )
    return number
  }

  cid(number: number): CID {
    const key = this.#keys[number] as string
    const codec = key.charCodeAt(0)
    const multihash = decodeMultihash(new Uint8Array(Buffer.from(key.slice(1), 'latin1')))
    return CID.create(codec === RAW ? 1 : this.#version, codec, multihash)
  }

  /** The number of a block that was put, or is linked to. */
  numberOf(cid: CID): number | undefined {
    return this.#numbers.get(keyOf(cid.code, multihashKey(cid)))
  }

  /**
   * All blocks under a root, each once, in depth-first order, the root first.
   * @throws BLOCK_MISSING when one was not put
   */
  *manifest(root: CID): Generator<ManifestEntry> {
    const first = this.numberOf(root)
    if (first === undefined) throw new BlockMissing(root)
    const seen = new Uint8Array(this.#keys.length)
    const levels: { children: Uint32Array; next: number }[] = [{ children: Uint32Array.of(first), next: 0 }]
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const number = level.children[level.next++]
      if (number === undefined) {
        levels.pop()
        continue
      }
      if (seen[number] === 1) continue
      seen[number] = 1
      const twin = this.#twins.get(number)
      if (twin === undefined || seen[twin] !== 1) yield this.#entry(number)
      levels.push({ children: this.#children.get(number) ?? NO_CHILDREN, next: 0 })
    }
  }

  #entry(number: number): ManifestEntry {
    const cid = this.cid(number)
    const length = this.#lengths[number] as number
    if (length === UNKNOWN) throw new BlockMissing(cid)
    return { cid, length }
  }

  #numberOf(cid: CID): number {
    const multihash = multihashKey(cid)
    const key = keyOf(cid.code, multihash)
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const number = this.#keys.push(key) - 1
    this.#numbers.set(key, number)
    this.#lengths.push(UNKNOWN)
    const twin = this.#numbers.get(keyOf(cid.code === RAW ? DAG_PB : RAW, multihash))
    if (twin !== undefined) this.#twins.set(number, twin).set(twin, number)
    return number
  }
}

function keyOf(codec: number, multihash: string): string {
  return String.fromCharCode(codec) + multihash
}
