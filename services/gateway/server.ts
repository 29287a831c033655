import type { GatewayHost } from '../core/gateway-host.ts'
import type { BlockReader } from '../blocks/contract.ts'
import type { Log } from '../runtime/log.ts'
import { listen } from '../runtime/http/server.ts'
import { NO_RULES, type RulesInForce } from '../core/rules-in-force.ts'
import { SECOND_MS } from '../core/units.ts'
import type { PeerClient } from '../swarm/client.ts'
import { Budgets } from './budgets.ts'
import type { Edge } from './edge-blocks.ts'
import { answerRequest, type ExchangeOptions } from './exchange.ts'
import { Guard, type GuardOptions } from './guard.ts'
import type { Holders } from './holders.ts'
import { HostTable } from './hosts.ts'
import { KnownPaths } from './known-paths.ts'
import { NO_METRICS, type GatewayMetrics } from './metrics.ts'
import { NO_NAMES, type Names } from './names.ts'
import type { Routing } from './routing.ts'
import { DEFAULT_SETTINGS, type GatewaySettings } from './settings.ts'
import { chainSources } from './source.ts'
import { TrustedProxies } from './trusted-proxies.ts'
import { answerTunnels } from './tunnel.ts'

export interface GatewayOptions {
  store: Pick<BlockReader, 'get' | 'sizeOf'>
  /** Copies that this node keeps beside its store. @default none */
  edge?: Edge | undefined
  /** Other nodes of the cluster; without them only what this node has is served. */
  holders?: Holders
  /** Asked for what nobody in the cluster has. @default nobody is: that is 404 at once */
  network?: Pick<PeerClient, 'block'>
  log: Log
  host: string
  /** 0: any free one. */
  port: number
  /** Other gateway processes listen there too. @default false */
  isShared?: boolean
  settings?: Partial<GatewaySettings>
  /** Hosts that it is known by. @default none: a path gateway under every host */
  hosts?: readonly GatewayHost[]
  /** Addresses and networks whose `X-Forwarded-` headers are believed. @default this machine */
  trustedProxies?: readonly string[]
  /** Whether it answers as the proxy of a client that sends it requests for any host; it dials none of them. @default false */
  isProxy?: boolean
  /** @default none are resolved */
  names?: Names
  /** Whom it names as providers, as a delegated router. @default it is none */
  routing?: Routing
  /** Denylists and restricted roots. @default everything is for everybody */
  rules?: RulesInForce
  /** Which blocks belong to restricted roots. @default only the roots themselves are known */
  restricted?: GuardOptions['restricted']
  /** @default nothing is counted */
  metrics?: GatewayMetrics
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

const THIS_MACHINE = ['127.0.0.0/8', '::1']

/**
 * Serves content by its CID or name over HTTP: a path, subdomain, DNSLink and trustless gateway of the IPFS
 * specifications, and a delegated router.
 * https://specs.ipfs.tech/http-gateways/ and https://specs.ipfs.tech/routing/http-routing-v1/
 * @throws CONFIG when the address cannot be listened on
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { store, edge, holders, network, log, host, port, signal } = options
  const settings = { ...DEFAULT_SETTINGS, ...options.settings }
  const metrics = options.metrics ?? NO_METRICS
  const { rules = NO_RULES, restricted } = options
  const { cacheBytes } = settings
  const source = chainSources({ store, edge, holders, network, cacheBytes, onFound: metrics.found, log })
  const exchange: ExchangeOptions = {
    source,
    paths: new KnownPaths(),
    settings,
    log,
    hosts: new HostTable(options.hosts ?? []),
    proxies: new TrustedProxies(options.trustedProxies ?? THIS_MACHINE),
    isProxy: options.isProxy ?? false,
    names: options.names ?? NO_NAMES,
    routing: options.routing,
    guard: new Guard({ rules, restricted, onDenied: metrics.denied }),
    budgets: new Budgets(settings),
    metrics,
  }
  const listening = await listen((request, response) => void answerRequest(request, response, exchange), {
    host,
    port,
    settingName: 'HOLDFAST_GATEWAY_PORT',
    isShared: options.isShared ?? false,
    limits: {
      headersMs: settings.headersTimeoutMs,
      keepAliveMs: settings.keepAliveMs,
      connectionsPerAddress: settings.maxConnectionsPerAddress,
      closeMs: DRAIN_MS,
    },
  })
  listening.server.maxConnections = settings.maxConnections
  answerTunnels(listening.server, exchange.isProxy)
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    closed ??= Promise.resolve(listening[Symbol.asyncDispose]())
    await closed
  }
  signal?.addEventListener('abort', () => void close(), { once: true })
  return { url: listening.url, close, [Symbol.asyncDispose]: close }
}
