import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import type { PeerId } from '@libp2p/interface'

/** The most origins a pin can name (Pinning Service API 1.0.0). */
const MAX_ORIGINS = 20

/** A peer that a pin's owner says has the content, with the addresses they gave. */
export interface Origin {
  peer: PeerId
  addresses: Multiaddr[]
}

export interface Origins {
  /** One entry a peer, in the order of first mention. */
  origins: Origin[]
  /** What was left out, and why: best effort hints never fail a pin. */
  ignored: { address: string; reason: string }[]
}

/** Reads the origins of a pin. The Pinning Service API says that they MUST end in `/p2p/{peer id}`: others are ignored. */
export function readOrigins(texts: readonly string[]): Origins {
  const byPeer = new Map<string, Origin>()
  const ignored: Origins['ignored'] = []
  for (const text of texts) {
    const read = readOrigin(text)
    if (typeof read === 'string') {
      ignored.push({ address: text.slice(0, 256), reason: read })
      continue
    }
    const key = read.peer.toString()
    const known = byPeer.get(key)
    if (known === undefined) byPeer.set(key, read)
    else known.addresses.push(...read.addresses)
  }
  const origins = [...byPeer.values()]
  for (const { peer } of origins.slice(MAX_ORIGINS)) ignored.push({ address: peer.toString(), reason: 'too many' })
  return { origins: origins.slice(0, MAX_ORIGINS), ignored }
}

function readOrigin(text: string): Origin | string {
  if (text.length > 1_024) return 'it is too long'
  try {
    const address = multiaddr(text)
    const last = address.getComponents().at(-1)
    if (last?.name !== 'p2p' || last.value === undefined) return 'it does not end in /p2p/ and a peer id'
    return { peer: peerIdFromString(last.value), addresses: [address] }
  } catch {
    return 'it is not a multiaddr'
  }
}
