import type { HostClass } from '../core/gateway-host.ts'

/**
 * Under what URL a request asks for content, which decides what else shares its origin and where links lead.
 * `path`: `/ipfs/{cid}/…` on a host of many; `subdomain`: `{id}.ipfs.{host}/…`; `dnslink`: a domain of its own.
 */
export interface Site {
  kind: 'path' | 'subdomain' | 'dnslink'
  scheme: 'http' | 'https'
  /** The gateway's host, or the domain itself, as the client wrote it, with its port. */
  host: string
  class: HostClass
}

/** Whether the content has an origin of its own, so that what it says may steer the browser. */
export function isIsolated(site: Site): boolean {
  return site.kind !== 'path'
}
