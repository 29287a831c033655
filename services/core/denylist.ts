import { hash } from 'node:crypto'
import { blake3 } from '@noble/hashes/blake3.js'
import type { MultihashDigest } from 'multiformats'
import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { BLAKE3, DAG_CBOR, DAG_PB, LIBP2P_KEY, RAW, SHA2_256 } from './cid.ts'
import { parseHeader, type DenylistHeader } from './denylist-header.ts'
import { multihashOf, parseRule, type BlockedPath, type DenylistRule, type Effect } from './denylist-rule.ts'
import { DigestTable } from './digest-table.ts'
import { KIB, MIB } from './units.ts'

/** A line that is longer is no rule. The format allows 2 MiB; a path of ours is far shorter. */
export const MAX_DENYLIST_LINE_BYTES = 64 * KIB
/** https://specs.ipfs.tech/compact-denylist-format/#header */
const MAX_DENYLIST_HEADER_CHARACTERS = MIB

/** That something is denied, by which list, and with what status the gateway says so. */
export interface Denial {
  list: string
  status: 410 | 451
}

interface Ranked {
  /** Place of the rule in the list: of those that match, the last decides. */
  position: number
  effect: Effect
}

type PathRule = Ranked & BlockedPath

/** A table holds the place of a rule and its effect in one number: lists have far fewer than 2^30 lines. */
const EFFECTS: readonly Effect[] = ['allow', 'deny', 410, 451]

/**
 * One denylist, filled line by line so that the text of half a million rules is never held. Lines that are no rules are
 * counted and skipped.
 * https://specs.ipfs.tech/compact-denylist-format/ (IPIP-383)
 */
export class Denylist {
  readonly name: string
  readonly #status: 410 | 451
  /** sha2-256 multihashes that are denied by themselves: nearly all rules of most lists. */
  readonly #content = new DigestTable()
  readonly #doubleSha256 = new DigestTable()
  readonly #doubleBlake3 = new DigestTable()
  /** All other rules, by domain or by multihash. */
  readonly #roots = new Map<string, PathRule[]>()
  readonly #names = new Map<string, PathRule[]>()
  /** Lines before the header's end, until it is known whether there is a header. */
  #head: string[] | undefined = []
  #headCharacters = 0
  #position = 0
  #header: DenylistHeader = { hintedStatus: undefined }
  skipped = 0

  /** @param status of the denials of rules that name none themselves, unless the list's header does */
  constructor(name: string, status: 410 | 451 = 410) {
    this.name = name
    this.#status = status
  }

  get rules(): number {
    return this.#position
  }

  get memoryBytes(): number {
    return this.#content.memoryBytes + this.#doubleSha256.memoryBytes + this.#doubleBlake3.memoryBytes
  }

  /** @throws BAD_REQUEST for a header that cannot be read or is of another version */
  add(line: string): void {
    if (this.#head === undefined) {
      this.#addRule(line)
      return
    }
    if (line.trimEnd() === '---') {
      this.#header = parseHeader(this.#head)
      this.#head = undefined
      return
    }
    this.#head.push(line)
    this.#headCharacters += line.length + 1
    if (this.#headCharacters > MAX_DENYLIST_HEADER_CHARACTERS) this.end()
  }

  /** After the last line. Without a header all lines were rules. */
  end(): void {
    const lines = this.#head ?? []
    this.#head = undefined
    for (const line of lines) this.#addRule(line)
  }

  /** Whether the content at a path below a root is denied. The root by itself has no segments. */
  content(cid: CID, segments: readonly string[]): Denial | undefined {
    const path = segments.join('/')
    return this.#denial([
      segments.length === 0 && cid.multihash.code === SHA2_256
        ? this.#unpacked(this.#content.get(cid.multihash.digest))
        : undefined,
      lastMatch(this.#roots.get(keyOf(cid.multihash)), path),
      ...this.#doubleHashed(() => contentTexts(cid, path)),
    ])
  }

  /** Whether the content at a path below an IPNS name or a domain is denied. */
  named(name: string, segments: readonly string[]): Denial | undefined {
    const path = segments.join('/')
    const multihash = multihashOf(name)
    const domains = multihash === undefined ? domainsOf(name) : []
    const keys = multihash === undefined ? domains : [keyOf(multihash)]
    return this.#denial([
      ...keys.map((key) => lastMatch(this.#names.get(key), path)),
      ...this.#doubleHashed(() => nameTexts(multihash, domains, path)),
    ])
  }

  #addRule(line: string): void {
    const text = line.trim()
    if (text === '' || text.startsWith('#')) return
    const rule = text.length > MAX_DENYLIST_LINE_BYTES ? undefined : parseRule(text)
    if (rule === undefined || !this.#enter(rule)) this.skipped += 1
  }

  #enter(rule: DenylistRule): boolean {
    this.#position += 1
    if (rule.kind === 'double-hash') {
      const table = this.#doubleTable(rule.code)
      if (rule.hash.length !== 32) return false
      table?.set(rule.hash, this.#packed(rule.effect))
      return table !== undefined
    }
    const ranked = { position: this.#position, effect: rule.effect, ...rule.below }
    if (rule.kind === 'name') {
      append(this.#names, typeof rule.name === 'string' ? rule.name : keyOf(rule.name), ranked)
      return true
    }
    const { code, digest } = rule.multihash
    const isPlain = rule.below.path === '' && !rule.below.isPrefix && code === SHA2_256 && digest.length === 32
    if (isPlain) this.#content.set(digest, this.#packed(rule.effect))
    else append(this.#roots, keyOf(rule.multihash), ranked)
    return true
  }

  #doubleTable(code: number): DigestTable | undefined {
    if (code === SHA2_256) return this.#doubleSha256
    return code === BLAKE3 ? this.#doubleBlake3 : undefined
  }

  /** Texts are made and hashed only for lists that have such rules. */
  #doubleHashed(texts: () => string[]): (Ranked | undefined)[] {
    const hasSha256 = this.#doubleSha256.size > 0
    const hasBlake3 = this.#doubleBlake3.size > 0
    if (!hasSha256 && !hasBlake3) return []
    return texts().flatMap((text) => [
      hasSha256 ? this.#unpacked(this.#doubleSha256.get(hash('sha256', text, 'buffer'))) : undefined,
      hasBlake3 ? this.#unpacked(this.#doubleBlake3.get(blake3(Buffer.from(text)))) : undefined,
    ])
  }

  #packed(effect: Effect): number {
    return this.#position * EFFECTS.length + EFFECTS.indexOf(effect)
  }

  #unpacked(value: number | undefined): Ranked | undefined {
    if (value === undefined) return undefined
    return {
      position: Math.floor(value / EFFECTS.length),
      effect: EFFECTS[value % EFFECTS.length] ?? 'deny',
    }
  }

  #denial(matches: readonly (Ranked | undefined)[]): Denial | undefined {
    let last: Ranked | undefined
    for (const match of matches) {
      if (match !== undefined && match.position >= (last?.position ?? 0)) last = match
    }
    if (last === undefined || last.effect === 'allow') return undefined
    const status = last.effect === 'deny' ? (this.#header.hintedStatus ?? this.#status) : last.effect
    return { list: this.name, status }
  }
}

/** The texts by which double-hashed rules name content. */
function contentTexts({ code, multihash }: CID, path: string): string[] {
  const below = path === '' ? '' : `/${path}`
  const legacy = [...new Set([code, ...LEGACY_CODECS])].map(
    (codec) => `${CID.createV1(codec, multihash).toString(base32)}/${path}`,
  )
  return [`${base58Of(multihash)}${below}`, ...legacy]
}

/** The older form names one codec; the same bytes under another are the same content. */
const LEGACY_CODECS = [DAG_PB, RAW, DAG_CBOR] as const

function nameTexts(multihash: MultihashDigest | undefined, domains: readonly string[], path: string): string[] {
  const below = path === '' ? '' : `/${path}`
  if (multihash === undefined) return domains.flatMap((name) => [`/ipns/${name}${below}`, `${name}/${path}`])
  return [
    `${base58Of(multihash)}${below}`,
    `/ipns/${CID.createV1(LIBP2P_KEY, multihash).toString(base32)}${below}`,
    `${CID.createV1(LIBP2P_KEY, multihash).toString(base32)}/${path}`,
  ]
}

function base58Of({ bytes }: MultihashDigest): string {
  return base58btc.baseEncode(bytes)
}

/** A domain, also as it stands in one label of a host (`en-wikipedia--on--ipfs-org`). */
function domainsOf(name: string): string[] {
  const domain = name.toLowerCase().replace(/\.$/, '')
  if (domain.includes('.') || !domain.includes('-')) return [domain]
  return [domain, domain.replaceAll('--', '\0').replaceAll('-', '.').replaceAll('\0', '-')]
}

function keyOf({ bytes }: MultihashDigest): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function append(rules: Map<string, PathRule[]>, key: string, rule: PathRule): void {
  const list = rules.get(key)
  if (list === undefined) rules.set(key, [rule])
  else list.push(rule)
}

function lastMatch(rules: readonly PathRule[] | undefined, path: string): Ranked | undefined {
  return rules?.findLast((rule) => (rule.isPrefix ? path.startsWith(rule.path) : rule.path === path))
}
