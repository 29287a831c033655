import type { Log } from '../runtime/log.ts'
import { pause } from '../runtime/loop.ts'
import type { PeerClient } from '../swarm/client.ts'
import type { DirectoryFile } from './directory-file.ts'

export interface NeighboursOptions {
  directory: Pick<DirectoryFile, 'current'>
  peer: Pick<PeerClient, 'connect'>
  /** What the node is called, once it is known. */
  ownName: () => string
  everyMs: number
  log: Log
  signal: AbortSignal
}

/**
 * Keeps this node's peer connected with the peers of the other nodes, so that the cluster has a DHT of its own and each
 * announcement is found by all of them, also where nothing else is known of the network.
 */
export async function meetNeighbours({
  directory,
  peer,
  ownName,
  everyMs,
  log,
  signal,
}: NeighboursOptions): Promise<void> {
  while (!signal.aborted) {
    const others = directory.current.nodes.filter(({ name, liveness }) => name !== ownName() && liveness !== 'down')
    const addresses = others.flatMap((node) => node.addresses)
    try {
      if (addresses.length > 0) await peer.connect(addresses, { signal })
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error }, 'neighbours could not be met')
    }
    await pause(everyMs, signal)
  }
}
