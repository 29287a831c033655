import { openBlockReader } from '../blocks/reader.ts'
import { SECOND_MS } from '../core/units.ts'
import { aborted } from '../runtime/run.ts'
import type { Log } from '../swarm/log.ts'
import { openPeer, type PeerSettings } from '../swarm/peer.ts'
import { startProviding, type ProvidingOptions } from '../swarm/providing.ts'
import { FetchFailures } from './fetch-failures.ts'
import { watchParent } from '../runtime/parent.ts'
import { openServer } from './server.ts'

export interface PeerProcess extends PeerSettings {
  /** Unix domain socket to serve on: `swarm/wire.ts` says what. */
  socketPath: string
  /** The node's block store, which is opened read-only. */
  storeFolder: string
  providing?: ProvidingOptions
  log: Log
}

/** An orderly end takes well under a second; a peer that does not come to it must not outlive its parent. */
const STOP_TIMEOUT_MS = 5 * SECOND_MS

/**
 * The peer process: a member of the IPFS network over the node's block store. Returns when `signal` aborts or the
 * parent process has gone. An exception that nothing catches ends the process, as it does by default; it is logged
 * first, and the parent starts the process anew.
 * @throws UNAVAILABLE when the node has made no store yet; CONFIG for a bootstrap address or socket path that is none;
 *   what opening a port or socket throws
 */
export async function runPeer(config: PeerProcess, signal: AbortSignal): Promise<void> {
  const { log, socketPath, storeFolder } = config
  const onUncaught = (err: unknown): void => log.error({ err }, 'the peer process ends by an uncaught exception')
  process.on('uncaughtExceptionMonitor', onUncaught)
  using parent = watchParent()
  parent.gone.addEventListener('abort', () => setTimeout(endNow, STOP_TIMEOUT_MS).unref())
  await using opened = new AsyncDisposableStack()
  const reader = opened.use(await openBlockReader(storeFolder))
  const peer = opened.use(await openPeer({ reader, settings: config, log }))
  const providing = opened.use(startProviding(peer, config.providing))
  opened.use(await openServer(socketPath, { peer, providing, failures: new FetchFailures() }, log))
  log.info({ peer: peer.id.toString(), addresses: peer.libp2p.getMultiaddrs().map(String) }, 'the peer is up')
  parent.tellReady()
  await aborted(AbortSignal.any([signal, parent.gone]))
  process.off('uncaughtExceptionMonitor', onUncaught)
}

function endNow(): void {
  process.exit(1)
}
