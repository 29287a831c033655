import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MINUTE_MS } from '../core/units.ts'
import { parseDnsName } from './dns-name.ts'
import { parseTarget, type Target } from './target.ts'

/** DNSLink: https://dnslink.dev, and "DNSLink Gateway Specification" of IPFS. */

/** Longer records are ignored: DNS carries 64 KiB, a content path needs less than this. */
const MAX_TXT_BYTES = 2_048
/** For links that come without a TTL. */
const DEFAULT_TTL_MS = MINUTE_MS

/** One TXT record of a domain. */
export interface TxtRecord {
  /** The strings of the record, joined. */
  text: string
  /** Undefined where the resolver does not tell. */
  ttlMs?: number
}

/** Asks DNS. Whoever composes a process decides whether there is one: without it only the static map is looked at. */
export interface TxtLookup {
  /**
   * The TXT records of a domain; none when it has none or does not exist.
   * @throws UPSTREAM_FAILED, TIMED_OUT when DNS gave no answer
   */
  (domain: string, options: Abortable): Promise<TxtRecord[]>
}

/** Where a domain points to. */
export interface DnsLink {
  target: Target
  ttlMs: number
  /** How many more valid links the domain has, against the specification. The same one is always taken; worth a log line. */
  ignored: number
}

/**
 * The link of a domain: the TXT records of `_dnslink.{domain}`, and where that has no link those of the domain itself.
 * @returns undefined when neither has one
 * @throws as `lookup`
 */
export async function lookUpDnsLink(
  domain: string,
  lookup: TxtLookup,
  options: Abortable = {},
): Promise<DnsLink | undefined> {
  return chooseLink(await lookup(`_dnslink.${domain}`, options)) ?? chooseLink(await lookup(domain, options))
}

/**
 * The link among the TXT records of a domain. Of several the one with the smallest text, so that the order in which DNS
 * gives them does not matter; malformed and oversized ones are as if not there.
 */
export function chooseLink(records: readonly TxtRecord[]): DnsLink | undefined {
  const links = records.flatMap((record) => {
    const target = linkIn(record.text)
    return target === undefined ? [] : [{ text: record.text, target, ttlMs: record.ttlMs ?? DEFAULT_TTL_MS }]
  })
  links.sort((a, b) => (a.text < b.text ? -1 : Number(a.text > b.text)))
  const [first] = links
  return first && { target: first.target, ttlMs: first.ttlMs, ignored: links.length - 1 }
}

function linkIn(text: string): Target | undefined {
  if (!text.startsWith('dnslink=') || Buffer.byteLength(text) > MAX_TXT_BYTES) return undefined
  try {
    return parseTarget(text.slice('dnslink='.length).trim())
  } catch {
    return undefined
  }
}

/**
 * Reads a static map of links, `name:/ipfs/…,name:/ipns/…` (the form of Kubo's IPFS_NS_MAP).
 * @throws CONFIG naming the entry that cannot be read
 */
export function parseDnsLinks(text: string): Map<string, DnsLink> {
  const entries = text.split(',').map((entry) => entry.trim())
  return new Map(entries.filter((entry) => entry !== '').map(parseEntry))
}

function parseEntry(entry: string): [domain: string, link: DnsLink] {
  const colon = entry.indexOf(':')
  try {
    const target = parseTarget(entry.slice(colon + 1))
    return [parseDnsName(entry.slice(0, Math.max(colon, 0))), { target, ttlMs: DEFAULT_TTL_MS, ignored: 0 }]
  } catch (cause) {
    throw new HoldfastError('CONFIG', `The DNSLink ${JSON.stringify(entry)} is not of the form name:/ipfs/….`, {
      cause,
    })
  }
}
