import { SECOND_MS } from '../core/units.ts'
import type { BlockReader } from '../blocks/contract.ts'
import type { DirectoryNode } from '../core/sync.ts'
import type { TransferClient } from '../transfer/client.ts'
import { parseKey } from './name-text.ts'
import type { PeerRecord } from './peer-filters.ts'
import type { Routing } from './routing.ts'

export interface ClusterRoutingOptions {
  store: Pick<BlockReader, 'has'>
  client: Pick<TransferClient, 'has'>
  /** The nodes that are up, this one among them. Read at each use. */
  nodes: () => readonly Pick<DirectoryNode, 'name' | 'addresses'>[]
  ownName: () => string
}

/** A node that does not say by then whether it has a block is not named. */
const ASK_MS = 2 * SECOND_MS

/** Names the cluster's own nodes: those that have a block, and where a node's peer can be dialled. */
export function routeToCluster({ store, client, nodes, ownName }: ClusterRoutingOptions): Routing {
  return {
    async providers(cid, { signal }) {
      const within = AbortSignal.any([AbortSignal.timeout(ASK_MS), ...(signal === undefined ? [] : [signal])])
      const has = async (name: string): Promise<boolean> => {
        if (name === ownName()) return store.has(cid)
        const held = await client.has(name, [cid], { signal: within }).catch(() => [])
        return held[0] === true
      }
      const answers = await Promise.all(nodes().map(async (node) => ({ node, holds: await has(node.name) })))
      signal?.throwIfAborted()
      const holders = answers.filter(({ holds }) => holds).map(({ node }) => node)
      const ownFirst = holders.toSorted((a, b) => Number(b.name === ownName()) - Number(a.name === ownName()))
      return ownFirst.flatMap(peerOf)
    },
    peers: (id) =>
      Promise.resolve(
        nodes()
          .flatMap(peerOf)
          .filter((peer) => parseKey(peer.id)?.text === id.text),
      ),
  }
}

/** A node's peer, by its addresses, each of which ends in `/p2p/{id}`; none while it does not run. */
function peerOf({ addresses }: Pick<DirectoryNode, 'addresses'>): PeerRecord[] {
  const parts = addresses.map((address) => /^(.+)\/p2p\/([^/]+)$/.exec(address))
  const id = parts[0]?.[2]
  if (id === undefined) return []
  return [{ id, addresses: parts.flatMap((part) => part?.[1] ?? []), protocols: ['transport-bitswap'] }]
}
