import { isIP } from 'node:net'
import { HoldfastError } from '../core/errors.ts'
import type { GatewayHost, HostClass } from '../core/gateway-host.ts'

/** A host of the table that a request names. */
export interface KnownHost {
  /** As the request wrote it, with its port, without what stands before the gateway's own name. */
  host: string
  class: HostClass
  /** What stands before it: `{id}.ipfs.`, `{id}.ipns.` or `{id}.ens.` */
  content: { namespace: 'ipfs' | 'ipns' | 'ens'; id: string } | undefined
}

const BELOW = /^(.+?)\.(ipfs|ipns|ens)\.(.+)$/i

/** The hosts that a gateway is known by. */
export class HostTable {
  readonly #hosts: ReadonlyMap<string, GatewayHost>

  /** @throws CONFIG when hosts of two classes lie so close that content of one could reach the other's origin */
  constructor(hosts: readonly GatewayHost[]) {
    for (const [index, host] of hosts.entries()) {
      for (const other of hosts.slice(0, index)) refuseNeighbours(host, other)
    }
    this.#hosts = new Map(hosts.map((host) => [host.host.toLowerCase(), host]))
  }

  /**
   * Whether what is asked for under the host may be fetched from the public network. Under a host that the table does not
   * know it may not when it may not under one that it knows: a client can write any host.
   */
  fetches(host: string): boolean {
    const known = this.#hostOf(host)
    if (known !== undefined) return known.fetches !== false
    return ![...this.#hosts.values()].some(({ fetches }) => fetches === false)
  }

  /** Undefined for a host that the table does not know. */
  find(host: string): KnownHost | undefined {
    const own = this.#hostOf(host)
    if (own !== undefined) return { host, class: own.class, content: undefined }
    const match = BELOW.exec(host)
    // The gateway's own name can hold `.ipfs.` too: the shortest name that is known decides.
    for (let rest = match; rest !== null; rest = BELOW.exec(rest[3] ?? '')) {
      const gateway = rest[3] ?? ''
      const known = this.#hostOf(gateway)
      if (known === undefined) continue
      const id = host.slice(0, host.length - gateway.length - (rest[2] ?? '').length - 2)
      const namespace = rest[2]?.toLowerCase() as 'ipfs' | 'ipns' | 'ens'
      return { host: gateway, class: known.class, content: { namespace, id } }
    }
    return undefined
  }

  #hostOf(host: string): GatewayHost | undefined {
    const name = host.toLowerCase()
    return this.#hosts.get(name) ?? this.#hosts.get(withoutPort(name))
  }
}

/** The domain or address of a `Host` header. */
export function withoutPort(host: string): string {
  return host.replace(/:\d*$/, '')
}

/** Whether it is an address rather than a name. */
export function isAddress(host: string): boolean {
  return isIP(withoutPort(host).replace(/^\[(.*)\]$/, '$1')) !== 0
}

/**
 * Content on a subdomain can set cookies for the parent domain, which every host below it then gets: classes are kept
 * apart by domains that share no parent.
 */
function refuseNeighbours(a: GatewayHost, b: GatewayHost): void {
  if (a.class === b.class) return
  const [nameA, nameB] = [withoutPort(a.host.toLowerCase()), withoutPort(b.host.toLowerCase())]
  if (isAddress(nameA) || isAddress(nameB)) return
  if (![...parents(nameA)].some((parent) => parents(nameB).has(parent))) return
  throw new HoldfastError(
    'CONFIG',
    `The gateway hosts ${a.host} (${a.class}) and ${b.host} (${b.class}) share a parent domain; HOLDFAST_GATEWAY_HOSTS needs different ones for different classes.`,
  )
}

/** The name itself and the domains above it, without the top-level domain. */
function parents(name: string): Set<string> {
  const labels = name.split('.')
  const names = labels.map((_, index) => labels.slice(index).join('.'))
  return new Set(labels.length === 1 ? names : names.slice(0, -1))
}
