import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import { lookUpDnsLink, type DnsLink, type TxtLookup } from './dnslink.ts'
import { parseDnsName } from './dns-name.ts'
import type { EnsLookup, EnsReading } from './ens-link.ts'
import type { IpnsName } from './ipns-name.ts'
import { ttlMs, validUntilMs, type IpnsRecord } from './ipns-record.ts'
import { nameText, type Name } from './name.ts'
import { newerRecord } from './newer-record.ts'
import type { RecordSearch } from './record-source.ts'
import { RevalidatedCache } from './revalidated-cache.ts'
import { targetOfRecord, type Target } from './target.ts'

/** "Implementations MUST limit the depth of recursion": the depth of Kubo. */
const MAX_NAMES = 32
/** Names remembered of each kind; a record may have 10 KiB. */
const REMEMBERED_NAMES = 4_096
const SEARCH_MS = 10 * SECOND_MS
/** Owners write TTLs of a century. */
const MAX_FRESH_MS = DAY_MS
/** How long a link of a domain is served when DNS does not answer (RFC 8767). */
const STALE_LINK_MS = HOUR_MS
const NO_LINK_TTL_MS = 15 * SECOND_MS
/** Contenthashes have no TTL that anybody sets. */
const ENS_TTL_MS = MINUTE_MS
/** An answer holds until the next block is final, which costs one question for all names; and for those asked elsewhere their TTL. */
const ENS_LOOK_MS = 12 * SECOND_MS
/** How old an answer may be that is served while the chain is asked behind; an older one only when that fails. */
const ENS_AT_ONCE_MS = 5 * MINUTE_MS
/** Whoever asks for the newest block wants it, but not once for each of a crowd. */
const NEWEST_TTL_MS = 2 * SECOND_MS

/** Where a name leads to. */
export interface ResolvedName {
  root: CID
  /** The way down from the root: that of each name on the way, then the one asked for. */
  segments: string[]
  /** The smallest TTL on the way, and never beyond the end of a record. */
  ttlMs: number
  /** The names on the way in their canonical form, the one asked for first. */
  names: string[]
  /** The first name of ENS on the way that the chain was asked for; undefined when there is none. */
  ens: FollowedEns | undefined
}

/** A name of ENS as it was followed. */
export interface FollowedEns {
  name: string
  /** Number of the block at which it was read. */
  block: bigint
  /** The domain it leads to: whoever holds that can change the content without the chain's knowing. */
  domain: string | undefined
}

/** `isNewest`: names of ENS are read in the newest block, which may yet be taken back. */
export interface Following extends Abortable {
  isNewest?: boolean
}

export interface NameResolverOptions {
  /** Where records are looked for; a search beyond this machine belongs to whoever composes it. */
  records: RecordSearch
  /** Asks DNS; without it domains have the links of `staticLinks` only, and nothing is dialled. */
  lookUpTxt?: TxtLookup
  /** Asks the chain for names of ENS; without it those that end in `.eth` can have a DNSLink like domains. */
  lookUpEns?: EnsLookup
  /** Links that win over DNS, by domain name. */
  staticLinks?: ReadonlyMap<string, DnsLink>
  /** Milliseconds since 1970. */
  nowMs?: () => number
  /** When a search is given up. Default 10 s. */
  searchMs?: number
}

/** What DNS said of a domain, also that there is no link. */
interface DomainAnswer {
  link: DnsLink | undefined
}

/** What the chain said of a name, also that it has no content. */
interface EnsAnswer {
  reading: EnsReading | undefined
  foundAtMs: number
}

type DomainName = Exclude<Name, { kind: 'key' }>

interface Step {
  target: Target
  ttlMs: number
  ens?: FollowedEns
}

/** Follows names to content. It remembers records and links, and shares searches between those who ask. */
export class NameResolver implements AsyncDisposable {
  readonly #options: NameResolverOptions
  readonly #nowMs: () => number
  readonly #records: RevalidatedCache<IpnsRecord>
  readonly #domains: RevalidatedCache<DomainAnswer>
  readonly #ens: RevalidatedCache<EnsAnswer>
  readonly #newestEns: RevalidatedCache<EnsAnswer>

  constructor(options: NameResolverOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    const shared = { nowMs: this.#nowMs, entries: REMEMBERED_NAMES, searchMs: options.searchMs ?? SEARCH_MS }
    this.#records = new RevalidatedCache({
      ...shared,
      freshMs: (record) => Math.min(ttlMs(record), MAX_FRESH_MS),
      usableUntilMs: validUntilMs,
      better: newerRecord,
    })
    this.#domains = new RevalidatedCache({
      ...shared,
      freshMs: ({ link }) => Math.min(link?.ttlMs ?? NO_LINK_TTL_MS, MAX_FRESH_MS),
      usableUntilMs: ({ link }, foundAtMs) => foundAtMs + (link?.ttlMs ?? 0) + STALE_LINK_MS,
      better: (_, found) => found,
    })
    this.#ens = new RevalidatedCache({
      ...shared,
      freshMs: ({ reading }) => {
        if (reading === undefined) return NO_LINK_TTL_MS
        return reading.isOffchain ? ENS_TTL_MS : ENS_LOOK_MS
      },
      usableUntilMs: (_, foundAtMs) => foundAtMs + ENS_TTL_MS + STALE_LINK_MS,
      better: (_, found) => found,
    })
    this.#newestEns = new RevalidatedCache({
      ...shared,
      freshMs: () => NEWEST_TTL_MS,
      usableUntilMs: (_, foundAtMs) => foundAtMs + NEWEST_TTL_MS,
      better: (_, found) => found,
    })
  }

  /**
   * Follows a name, and the names it leads to, down to content.
   * @param segments the path below the name, decoded
   * @throws NAME_NOT_RESOLVED when a name on the way has no valid record or link, or leads to no content path; NAME_LOOP
   *   when names lead in a circle or over more than 32; BAD_REQUEST when the path gets more than 256 segments;
   *   OTHER_NETWORK when a name of ENS leads to content that is not on IPFS; NOT_IMPLEMENTED for names of ENS when no chain
   *   is read; UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE when nobody could be asked
   */
  async resolve(name: Name, segments: readonly string[] = [], options: Following = {}): Promise<ResolvedName> {
    const names: string[] = []
    let path = [...segments]
    let smallestTtlMs = Infinity
    let followedEns: FollowedEns | undefined
    for (let current = name; names.length < MAX_NAMES;) {
      const text = nameText(current)
      if (names.includes(text)) throw new HoldfastError('NAME_LOOP', `The name ${text} leads back to itself.`)
      names.push(text)
      const { target, ttlMs, ens } = await this.#follow(current, options)
      path = [...target.segments, ...path]
      if (path.length > MAX_PATH_SEGMENTS) {
        throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
      }
      smallestTtlMs = Math.min(smallestTtlMs, ttlMs)
      followedEns ??= ens
      if (target.namespace === 'ipfs') {
        return { root: target.root, segments: path, ttlMs: smallestTtlMs, names, ens: followedEns }
      }
      current = target.name
    }
    throw new HoldfastError('NAME_LOOP', `The name ${names[0]} leads over more than ${MAX_NAMES} names.`)
  }

  /**
   * The newest valid record known of a name; with `isRevalidated` it is looked for again first, also when the known one is
   * still fresh.
   * @throws NAME_NOT_RESOLVED, UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE
   */
  async record(name: IpnsName, options: Abortable & { isRevalidated?: boolean } = {}): Promise<IpnsRecord> {
    const search = (signal: AbortSignal): AsyncIterable<IpnsRecord> => this.#options.records(name, { signal })
    const record = await this.#records.get(name.text, search, options)
    if (record === undefined) throw new HoldfastError('NAME_NOT_RESOLVED', `No valid record of ${name.text} was found.`)
    return record
  }

  /**
   * Where a domain or a name of ENS leads to; undefined when it has no link.
   * @throws OTHER_NETWORK, NOT_IMPLEMENTED, UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE as {@link resolve}
   */
  async link(name: DomainName, options: Following = {}): Promise<Step | undefined> {
    return name.kind === 'dns' ? await this.#dnsLink(name.domain, options) : await this.#ensLink(name.name, options)
  }

  async #dnsLink(domain: string, { signal }: Abortable): Promise<DnsLink | undefined> {
    const { staticLinks, lookUpTxt } = this.#options
    const fixed = staticLinks?.get(domain)
    if (fixed !== undefined || lookUpTxt === undefined) return fixed
    const search = async function* (signal: AbortSignal): AsyncIterable<DomainAnswer> {
      yield { link: await unlessAborted(lookUpDnsLink(domain, lookUpTxt, { signal }), signal) }
    }
    return (await this.#domains.get(domain, search, { ...(signal && { signal }) }))?.link
  }

  async #ensLink(name: string, { signal, isNewest = false }: Following): Promise<Step | undefined> {
    const { staticLinks, lookUpEns } = this.#options
    const nowMs = this.#nowMs
    const fixed = staticLinks?.get(name)
    if (fixed !== undefined) return fixed
    if (lookUpEns === undefined) return await this.#linkWithoutChain(name, { ...(signal && { signal }) })
    const search = async function* (signal: AbortSignal): AsyncIterable<EnsAnswer> {
      yield { reading: await unlessAborted(lookUpEns(name, { signal, isNewest }), signal), foundAtMs: nowMs() }
    }
    const cache = isNewest ? this.#newestEns : this.#ens
    const waiting = signal === undefined ? {} : { signal }
    let answer = await cache.get(name, search, waiting)
    if (answer !== undefined && answer.foundAtMs + ENS_AT_ONCE_MS < nowMs()) {
      answer = await cache.get(name, search, { ...waiting, isRevalidated: true })
    }
    const reading = answer?.reading
    if (reading === undefined) return undefined
    const { block, content } = reading
    if (content.target === undefined) {
      throw new HoldfastError('OTHER_NETWORK', `The content of ${name} is on ${content.network}, not on IPFS.`)
    }
    const { target } = content
    const domain = target.namespace === 'ipns' && target.name.kind === 'dns' ? target.name.domain : undefined
    return { target, ttlMs: isNewest ? NEWEST_TTL_MS : ENS_TTL_MS, ens: { name, block, domain } }
  }

  /** Some DNS servers answer for `.eth`. @throws NOT_IMPLEMENTED when they do not */
  async #linkWithoutChain(name: string, options: Abortable): Promise<DnsLink> {
    const link = name.endsWith('.eth') ? await this.#dnsLink(parseDnsName(name), options) : undefined
    if (link !== undefined) return link
    throw new HoldfastError(
      'NOT_IMPLEMENTED',
      `The name ${name} is one of ENS, and no chain is read here; the operator can set HOLDFAST_CHAIN_RPC.`,
    )
  }

  /** Takes a verified record that arrived by itself (published or put here), so that it is served at once if it is newer. */
  offer(name: IpnsName, record: IpnsRecord): void {
    this.#records.offer(name.text, record)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const caches = [this.#records, this.#domains, this.#ens, this.#newestEns]
    await Promise.all(caches.map((cache) => cache[Symbol.asyncDispose]()))
  }

  async #follow(name: Name, options: Following): Promise<Step> {
    if (name.kind === 'key') {
      const record = await this.record(name.key, options)
      const leftMs = Math.max(0, validUntilMs(record) - this.#nowMs())
      return { target: targetOfRecord(record), ttlMs: Math.min(ttlMs(record), leftMs) }
    }
    const link = await this.link(name, options)
    if (link !== undefined) return link
    const missing =
      name.kind === 'dns' ? `The domain ${name.domain} has no DNSLink.` : `The name ${name.name} of ENS has no content.`
    throw new HoldfastError('NAME_NOT_RESOLVED', missing)
  }
}
