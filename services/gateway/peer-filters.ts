/** A peer as delegated routing tells it. */
export interface PeerRecord {
  /** In base58btc. */
  id: string
  /** Multiaddrs, without the peer's id. */
  addresses: readonly string[]
  /** Ways to get content from it, such as `transport-bitswap`. */
  protocols: readonly string[]
}

/**
 * Leaves the peers and addresses that a client can use (IPIP-484): `filter-addrs` names protocols of multiaddrs, with `!`
 * those that no address may have; `filter-protocols` names transports. `unknown` stands for having none.
 */
export function filterPeers(peers: readonly PeerRecord[], query: URLSearchParams): PeerRecord[] {
  const addressFilter = filterOf(query.get('filter-addrs'))
  const protocolFilter = filterOf(query.get('filter-protocols'))
  return peers.flatMap((peer) => {
    if (protocolFilter.length > 0 && !passes(peer.protocols, protocolFilter)) return []
    if (addressFilter.length === 0) return [peer]
    if (peer.addresses.length === 0) return addressFilter.includes('unknown') ? [peer] : []
    const addresses = peer.addresses.filter((address) => isWanted(address, addressFilter))
    return addresses.length === 0 ? [] : [{ ...peer, addresses }]
  })
}

function filterOf(text: string | null): string[] {
  return (text ?? '')
    .toLowerCase()
    .split(',', 64)
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function passes(protocols: readonly string[], filter: readonly string[]): boolean {
  return protocols.length === 0 ? filter.includes('unknown') : protocols.some((protocol) => filter.includes(protocol))
}

function isWanted(address: string, filter: readonly string[]): boolean {
  const protocols = new Set(address.split('/'))
  const wanted = filter.filter((part) => !part.startsWith('!'))
  if (filter.some((part) => part.startsWith('!') && protocols.has(part.slice(1)))) return false
  return wanted.length === 0 || wanted.some((part) => protocols.has(part))
}
