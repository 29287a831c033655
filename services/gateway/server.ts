import type { BlockReader } from '../blocks/contract.ts'
import type { Log } from '../runtime/log.ts'
import { listen } from '../runtime/http/server.ts'
import { SECOND_MS } from '../core/units.ts'
import { answerRequest } from './exchange.ts'
import type { Holders } from './holders.ts'
import { KnownPaths } from './known-paths.ts'
import { DEFAULT_SETTINGS, type GatewaySettings } from './settings.ts'
import { chainSources } from './source.ts'

export interface GatewayOptions {
  store: Pick<BlockReader, 'get'>
  /** Other nodes of the cluster; without them only what this node has is served. */
  holders?: Holders
  log: Log
  host: string
  /** 0: any free one. */
  port: number
  settings?: Partial<GatewaySettings>
  /** Closes the gateway. */
  signal?: AbortSignal
}

export interface Gateway extends AsyncDisposable {
  url: string
  /** Takes no more requests, and resolves when the last answer is out or was cut off after {@link DRAIN_MS}. */
  close(): Promise<void>
}

/** How long answers under way may take once the gateway is told to close. */
const DRAIN_MS = 5 * SECOND_MS

/**
 * Serves content by its CID over HTTP: a path and trustless gateway of the IPFS specifications.
 * https://specs.ipfs.tech/http-gateways/
 * @throws CONFIG when the address cannot be listened on
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { store, holders, log, host, port, signal } = options
  const settings = { ...DEFAULT_SETTINGS, ...options.settings }
  const source = chainSources({ store, holders, cacheBytes: settings.cacheBytes, log })
  const exchange = { source, paths: new KnownPaths(), settings, log }
  const listening = await listen((request, response) => void answerRequest(request, response, exchange), {
    host,
    port,
    settingName: 'HOLDFAST_GATEWAY_PORT',
    limits: {
      headersMs: settings.headersTimeoutMs,
      keepAliveMs: settings.keepAliveMs,
      connectionsPerAddress: settings.maxConnectionsPerAddress,
      closeMs: DRAIN_MS,
    },
  })
  listening.server.maxConnections = settings.maxConnections
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    closed ??= Promise.resolve(listening[Symbol.asyncDispose]())
    await closed
  }
  signal?.addEventListener('abort', () => void close(), { once: true })
  return { url: listening.url, close, [Symbol.asyncDispose]: close }
}
