import { identity } from 'multiformats/hashes/identity'
import { base58btc } from 'multiformats/bases/base58'
import type { Sql } from '../../catalog/database.ts'
import { readDirectory } from '../../catalog/directory.ts'
import type { DirectoryNode } from '../../core/sync.ts'
import { SECOND_MS } from '../../core/units.ts'

/** Answers the multiaddrs by which a client that has the content can bring it to us. */
export type Delegates = () => Promise<string[]>

const BELIEVED_MS = 2 * SECOND_MS
const PER_REGION = 2
/** As many as the Pinning Service API allows. */
const MAX_DELEGATES = 20

/**
 * Delegates of this cluster, read from the directory at most every two seconds: for each region two nodes that answer,
 * each with its addresses.
 * @param ownKey public key of this process, base64url: named when there is no node, because the list must not be empty
 */
export function createDelegates(db: Sql, ownKey: string): Delegates {
  let known: Promise<string[]> | undefined
  let until = 0
  return () => {
    if (known !== undefined && performance.now() < until) return known
    until = performance.now() + BELIEVED_MS
    known = readDirectory(db).then(({ nodes }) => delegatesOf(nodes, ownKey))
    known.catch(() => (known = undefined))
    return known
  }
}

/**
 * Multiaddrs of two nodes per region, in turn, so that a cut at the limit leaves no region out. Each ends in `/p2p/…`,
 * which the specification demands and Kubo insists on.
 */
export function delegatesOf(nodes: readonly DirectoryNode[], ownKey: string): string[] {
  const usable = nodes.filter(({ liveness, addresses }) => liveness === 'up' && addresses.length > 0)
  const regions = Map.groupBy(usable, ({ labels }) => labels['region'] ?? '')
  const chosen = Array.from({ length: PER_REGION }, (_, rank) =>
    [...regions.values()].flatMap((peers) => peers[rank] ?? []),
  ).flat()
  const addresses = new Set(chosen.flatMap((node) => node.addresses.filter((address) => /\/p2p\/[^/]+$/.test(address))))
  if (addresses.size > 0) return [...addresses].slice(0, MAX_DELEGATES)
  return [`/p2p/${peerIdOf(nodes[0]?.publicKey ?? ownKey)}`]
}

/** The libp2p peer id of an Ed25519 key: the identity hash of the key in a protobuf, base58btc. */
function peerIdOf(publicKey: string): string {
  const ED25519_KEY = [0x08, 0x01, 0x12, 0x20]
  const protobuf = Uint8Array.from([...ED25519_KEY, ...Buffer.from(publicKey, 'base64url')])
  return base58btc.baseEncode(identity.digest(protobuf).bytes)
}
