import type { Finding } from '../core/collection-report/finding.ts'

/** Kinds of links that are the address of a server. */
const OF_SERVERS = new Set(['http', 'ipfs-gateway', 'ipns-gateway'])
const MOST_HOSTS = 8

/** Names of the servers that a token's links are addressed to. */
export function hostsOf({ links }: Finding): string[] {
  const hosts = links.flatMap(({ kind, uri }) => {
    if (!OF_SERVERS.has(kind)) return []
    const host = URL.parse(uri)?.hostname ?? URL.parse(`https:${uri.replace(/^\/*/, '//')}`)?.hostname
    return host === undefined || host === '' ? [] : [host.slice(0, 255)]
  })
  return [...new Set(hosts)].slice(0, MOST_HOSTS)
}
