import { z } from 'zod'
import { parseDnsName } from '../naming/dns-name.ts'
import type { EnsLookup } from '../naming/ens-link.ts'
import { lookUpDnsLink, type DnsLink, type TxtLookup } from '../naming/dnslink.ts'
import { nameText } from '../naming/name.ts'
import { HoldfastError } from '../core/errors.ts'

/** Where links of domains come from. */
export interface DomainLinks {
  /** Links that win over DNS. */
  staticLinks: ReadonlyMap<string, DnsLink>
  lookUpTxt?: TxtLookup
  /** Without it names of ENS are not followed. */
  lookUpEns?: EnsLookup
}

export const SiteDomain = z
  .object({
    domain: z.string(),
    record: z
      .object({ name: z.string(), type: z.literal('TXT'), value: z.string() })
      .describe('What is to be set at whoever serves the DNS of the domain'),
    found: z.string().nullable().describe('The content path that the domain leads to now'),
    state: z
      .enum(['right', 'frozen', 'wrong', 'missing'])
      .describe('`frozen`: it leads to the present version, and will not follow the next one'),
    ignored: z.number().describe('How many more links the domain has; a domain should have one'),
  })
  .meta({ id: 'SiteDomain', description: 'Whether a domain leads to a site' })

/**
 * Whether a domain leads to a site by DNSLink, asked of DNS anew.
 * @param site its name, and the content path of its present version
 * @throws INVALID_NAME; NOT_IMPLEMENTED when this service asks no DNS; UPSTREAM_FAILED, TIMED_OUT when DNS does not answer
 */
export async function checkDomain(
  text: string,
  site: { name: string; target: string | null },
  { staticLinks, lookUpTxt }: DomainLinks,
  signal: AbortSignal,
): Promise<z.infer<typeof SiteDomain>> {
  const domain = parseDnsName(text)
  const fixed = staticLinks.get(domain)
  if (fixed === undefined && lookUpTxt === undefined) {
    throw new HoldfastError('NOT_IMPLEMENTED', 'This service asks no DNS; its operator can set HOLDFAST_DNS.')
  }
  const link = fixed ?? (lookUpTxt && (await lookUpDnsLink(domain, lookUpTxt, { signal })))
  const found = link === undefined ? null : pathOf(link)
  return {
    domain,
    record: { name: `_dnslink.${domain}`, type: 'TXT', value: `dnslink=/ipns/${site.name}` },
    found,
    state: stateOf(found, site),
    ignored: link?.ignored ?? 0,
  }
}

function stateOf(
  found: string | null,
  { name, target }: { name: string; target: string | null },
): z.infer<typeof SiteDomain>['state'] {
  if (found === null) return 'missing'
  if (found === `/ipns/${name}`) return 'right'
  return found === target ? 'frozen' : 'wrong'
}

function pathOf({ target }: DnsLink): string {
  const root = target.namespace === 'ipfs' ? target.root.toString() : nameText(target.name)
  return ['', target.namespace, root, ...target.segments].join('/')
}
