import { lookup, resolveTxt } from 'node:dns/promises'
import type { MultiaddrResolver } from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'

/** How names are looked up; the system's resolver unless told otherwise. */
export interface NameLookup {
  addresses(name: string, family: 0 | 4 | 6): Promise<{ address: string; family: number }[]>
  texts(name: string): Promise<string[]>
}

const systemLookup: NameLookup = {
  addresses: (name, family) => lookup(name, { all: true, family }),
  texts: async (name) => (await resolveTxt(name)).map((chunks) => chunks.join('')),
}

/** A record that names more addresses than this is cut: 25 addresses of a peer are ever dialled. */
const MAX_ANSWERS = 25
/** `/dnsaddr` may name others once, as the public bootstrap peers do; a longer chain multiplies at every step. */
const MAX_DNSADDR_DEPTH = 2

const FAMILIES: Record<string, 0 | 4 | 6> = { dns: 0, dns4: 4, dns6: 6 }

/**
 * Turns names in multiaddrs into IP addresses before the dialer asks the gater about them, so that what was checked
 * is what is connected to, and a name cannot answer something else a moment later.
 */
export function nameResolvers(names: NameLookup = systemLookup): Record<string, MultiaddrResolver> {
  return {
    dns: {
      canResolve: (address) => hostFamily(address) !== undefined,
      resolve: (address) => orNothing(resolveHost(address, names)),
    },
    dnsaddr: {
      canResolve: (address) => address.getComponents()[0]?.name === 'dnsaddr',
      resolve: (address) => orNothing(resolveDnsaddr(address, names, MAX_DNSADDR_DEPTH)),
    },
  }
}

/** A name that does not resolve must not take a peer's other addresses with it: the dialer gives up all of them then. */
async function orNothing(resolving: Promise<Multiaddr[]>): Promise<Multiaddr[]> {
  try {
    return await resolving
  } catch {
    return []
  }
}

function hostFamily(address: Multiaddr): 0 | 4 | 6 | undefined {
  return FAMILIES[address.getComponents()[0]?.name ?? '']
}

async function resolveHost(address: Multiaddr, names: NameLookup): Promise<Multiaddr[]> {
  const [host, ...rest] = address.getComponents()
  const answers = await names.addresses(host?.value ?? '', hostFamily(address) ?? 0)
  const tail = multiaddr(rest).toString()
  return answers.slice(0, MAX_ANSWERS).map((found) => multiaddr(`/ip${found.family}/${found.address}${tail}`))
}

/** @see https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md */
async function resolveDnsaddr(address: Multiaddr, names: NameLookup, depth: number): Promise<Multiaddr[]> {
  const components = address.getComponents()
  const peer = components.find((part) => part.name === 'p2p')?.value
  const texts = await names.texts(`_dnsaddr.${components[0]?.value ?? ''}`)
  const found: Multiaddr[] = []
  for (const text of texts.slice(0, MAX_ANSWERS)) {
    const named = readDnsaddr(text, peer)
    if (named === undefined) continue
    const isNested = named.getComponents()[0]?.name === 'dnsaddr'
    if (!isNested) found.push(named)
    else if (depth > 1) found.push(...(await resolveDnsaddr(named, names, depth - 1)))
  }
  return found.slice(0, MAX_ANSWERS)
}

function readDnsaddr(text: string, peer: string | undefined): Multiaddr | undefined {
  if (!text.startsWith('dnsaddr=')) return undefined
  try {
    const named = multiaddr(text.slice('dnsaddr='.length))
    const namedPeer = named.getComponents().findLast((part) => part.name === 'p2p')?.value
    return peer === undefined || namedPeer === peer ? named : undefined
  } catch {
    return undefined
  }
}
