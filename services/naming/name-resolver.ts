import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { DAY_MS, HOUR_MS, SECOND_MS } from '../core/units.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import { lookUpDnsLink, type DnsLink, type TxtLookup } from './dnslink.ts'
import type { EnsLookup } from './ens-link.ts'
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

/** Where a name leads to. */
export interface ResolvedName {
  root: CID
  /** The way down from the root: that of each name on the way, then the one asked for. */
  segments: string[]
  /** The smallest TTL on the way, and never beyond the end of a record. */
  ttlMs: number
  /** The names on the way in their canonical form, the one asked for first. */
  names: string[]
}

export interface NameResolverOptions {
  /** Where records are looked for; a search beyond this machine belongs to whoever composes it. */
  records: RecordSearch
  /** Asks DNS; without it domains have the links of `staticLinks` only, and nothing is dialled. */
  lookUpTxt?: TxtLookup
  /** Asks the chain for names that end in `.eth`; without it they are domains like others. */
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

/** Follows names to content. It remembers records and links, and shares searches between those who ask. */
export class NameResolver implements AsyncDisposable {
  readonly #options: NameResolverOptions
  readonly #nowMs: () => number
  readonly #records: RevalidatedCache<IpnsRecord>
  readonly #domains: RevalidatedCache<DomainAnswer>

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
  }

  /**
   * Follows a name, and the names it leads to, down to content.
   * @param segments the path below the name, decoded
   * @throws NAME_NOT_RESOLVED when a name on the way has no valid record or link, or leads to no content path; NAME_LOOP
   *   when names lead in a circle or over more than 32; BAD_REQUEST when the path gets more than 256 segments;
   *   UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE when nobody could be asked
   */
  async resolve(name: Name, segments: readonly string[] = [], options: Abortable = {}): Promise<ResolvedName> {
    const names: string[] = []
    let path = [...segments]
    let smallestTtlMs = Infinity
    for (let current = name; names.length < MAX_NAMES;) {
      const text = nameText(current)
      if (names.includes(text)) throw new HoldfastError('NAME_LOOP', `The name ${text} leads back to itself.`)
      names.push(text)
      const { target, ttlMs } = await this.#follow(current, options)
      path = [...target.segments, ...path]
      if (path.length > MAX_PATH_SEGMENTS) {
        throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
      }
      smallestTtlMs = Math.min(smallestTtlMs, ttlMs)
      if (target.namespace === 'ipfs') return { root: target.root, segments: path, ttlMs: smallestTtlMs, names }
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
   * The DNSLink of a domain, or where a name of ENS points to; undefined when it has none.
   * @throws UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE
   */
  async link(domain: string, { signal }: Abortable = {}): Promise<DnsLink | undefined> {
    const { staticLinks } = this.#options
    const fixed = staticLinks?.get(domain)
    const lookUp = this.#lookUp(domain)
    if (fixed !== undefined || lookUp === undefined) return fixed
    const search = async function* (signal: AbortSignal): AsyncIterable<DomainAnswer> {
      yield { link: await unlessAborted(lookUp(domain, { signal }), signal) }
    }
    return (await this.#domains.get(domain, search, { ...(signal && { signal }) }))?.link
  }

  #lookUp(domain: string): EnsLookup | undefined {
    const { lookUpTxt, lookUpEns } = this.#options
    if (lookUpEns !== undefined && domain.endsWith('.eth')) return lookUpEns
    return lookUpTxt && ((name, options) => lookUpDnsLink(name, lookUpTxt, options))
  }

  /** Takes a verified record that arrived by itself (published or put here), so that it is served at once if it is newer. */
  offer(name: IpnsName, record: IpnsRecord): void {
    this.#records.offer(name.text, record)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#records[Symbol.asyncDispose](), this.#domains[Symbol.asyncDispose]()])
  }

  async #follow(name: Name, options: Abortable): Promise<{ target: Target; ttlMs: number }> {
    if (name.kind === 'key') {
      const record = await this.record(name.key, options)
      const leftMs = Math.max(0, validUntilMs(record) - this.#nowMs())
      return { target: targetOfRecord(record), ttlMs: Math.min(ttlMs(record), leftMs) }
    }
    const link = await this.link(name.domain, options)
    if (link === undefined) throw new HoldfastError('NAME_NOT_RESOLVED', `The domain ${name.domain} has no DNSLink.`)
    return link
  }
}
