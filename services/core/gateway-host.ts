/**
 * What a host of a gateway serves. `subdomain`: each site in an origin of its own, `{cid}.ipfs.{host}`. `path`: files below
 * `/ipfs/` and `/ipns/`, all in one origin. `trustless`: blocks, CARs and records alone, which a browser does not run.
 */
export type HostClass = 'subdomain' | 'path' | 'trustless'

/** A host of the gateways' table (HOLDFAST_GATEWAY_HOSTS). */
export interface GatewayHost {
  /** Domain, perhaps with a port. */
  host: string
  class: HostClass
  /** Whether the public network is asked for what no node holds, where the gateway does that at all. @default true */
  fetches?: boolean
}
