import { dnsLookup } from './naming/dns-lookup.ts'
import { parseDnsLinks, type DnsLink, type TxtLookup } from './naming/dnslink.ts'
import type { Config } from './runtime/config.ts'

/** Where the links of domains come from, as the configuration says; without `lookUpTxt` nobody is asked. */
export function domainLinks({ HOLDFAST_DNSLINKS, HOLDFAST_DNS: servers }: Config): {
  staticLinks: ReadonlyMap<string, DnsLink>
  lookUpTxt?: TxtLookup
} {
  const staticLinks = parseDnsLinks(HOLDFAST_DNSLINKS)
  if (servers.length === 0) return { staticLinks }
  return { staticLinks, lookUpTxt: servers.includes('system') ? dnsLookup() : dnsLookup({ servers }) }
}
