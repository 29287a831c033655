import { Ens } from './chain/ens/ens.ts'
import { chainPool } from './chain-pool.ts'
import type { ProviderPool } from './chain/provider-pool.ts'
import { dnsLookup } from './naming/dns-lookup.ts'
import { parseDnsLinks, type DnsLink, type TxtLookup } from './naming/dnslink.ts'
import { ensLookup, type EnsLookup } from './naming/ens-link.ts'
import type { Config } from './runtime/config.ts'

/** Where the links of domains come from, as the configuration says; without a lookup nobody is asked. */
export function domainLinks(config: Config): {
  staticLinks: ReadonlyMap<string, DnsLink>
  lookUpTxt?: TxtLookup
  lookUpEns?: EnsLookup
} {
  const { HOLDFAST_DNSLINKS, HOLDFAST_DNS: servers } = config
  const pool = chainPool(config)
  return {
    staticLinks: parseDnsLinks(HOLDFAST_DNSLINKS),
    ...(servers.length > 0 && { lookUpTxt: servers.includes('system') ? dnsLookup() : dnsLookup({ servers }) }),
    ...(pool && { lookUpEns: ensLookup(ensOf(pool, config)) }),
  }
}

function ensOf(pool: ProviderPool, config: Config): Ens {
  const { HOLDFAST_ENS_REGISTRY: registry, HOLDFAST_ENS_UNIVERSAL_RESOLVER: universalResolver } = config
  return new Ens({ pool, ...(registry && { registry }), ...(universalResolver && { universalResolver }) })
}
