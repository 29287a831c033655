import { BlockList, isIP } from 'node:net'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Which addresses may be dialled, whoever names them: an origin of a pin, a DHT record, a peer about itself. */
export interface DialPolicy {
  /** Whether loopback, private and reserved ranges may be dialled: for a cluster on one machine or in one network. */
  allowPrivate: boolean
  /** Ports on private and loopback addresses that are never dialled: the cluster's own database, API and gateway. */
  deniedPorts: ReadonlySet<number>
  /** Our own public IP addresses: never dialled. */
  deniedHosts: ReadonlySet<string>
  /** Multiaddrs that the operator's configuration names, without `/p2p/…`: always allowed. */
  trusted: ReadonlySet<string>
}

/** Why an address is not dialled; undefined when it may be. */
export type Refusal = string | undefined

/**
 * Never a peer: this host, link-local, multicast and reserved ranges, and where clouds serve their metadata
 * (the link-local range, and the addresses that Alibaba, Oracle, Azure and AWS over IPv6 use outside it).
 */
const NEVER = blockList(
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fd00:ec2::254', 128],
)

/** Not reachable from the internet, or a translation that hides an address which may not be. */
const PRIVATE = blockList(
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fec0::', 10],
)

function blockList(...subnets: [string, number][]): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, familyOf(net))
  return list
}

function familyOf(host: string): 'ipv4' | 'ipv6' {
  return isIP(host) === 6 ? 'ipv6' : 'ipv4'
}

/**
 * Whether a multiaddr whose names have been resolved may be dialled. Only `/ip4` and `/ip6` with `/tcp` are: a name
 * that is still there has not been checked, and every other kind (unix sockets, zones, relays) has no place here.
 */
export function refusalOf(address: Multiaddr, policy: DialPolicy): Refusal {
  const [ip, tcp, ...rest] = address.getComponents()
  if (ip?.value === undefined || (ip.name !== 'ip4' && ip.name !== 'ip6')) return 'it does not begin with an IP address'
  if (tcp?.value === undefined || tcp.name !== 'tcp') return 'it is not a TCP address'
  if (rest.length > 1 || rest.some((part) => part.name !== 'p2p')) return 'it is not a plain TCP address'
  if (policy.trusted.has(`/${ip.name}/${ip.value}/tcp/${tcp.value}`)) return undefined
  return refusalOfHost(ip.value, Number(tcp.value), policy)
}

function refusalOfHost(host: string, port: number, policy: DialPolicy): Refusal {
  const family = familyOf(host)
  if (NEVER.check(host, family)) return 'its range holds no peers'
  if (policy.deniedHosts.has(host)) return 'it is our own address'
  if (!PRIVATE.check(host, family)) return undefined
  if (!policy.allowPrivate) return 'it is a private address'
  if (policy.deniedPorts.has(port)) return 'it is a port of our own cluster'
  return undefined
}
