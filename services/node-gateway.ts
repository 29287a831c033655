import type { Registry } from 'prom-client'
import type { BlockReader } from './blocks/contract.ts'
import type { RulesInForce } from './core/rules-in-force.ts'
import type { DirectoryNode } from './core/sync.ts'
import { domainLinks } from './domain-links.ts'
import { routeToCluster } from './gateway/cluster-routing.ts'
import type { Edge } from './gateway/edge-blocks.ts'
import { findHolders } from './gateway/holders.ts'
import { gatewayMetrics } from './gateway/metrics.ts'
import { namesOf, type KeptRecords } from './gateway/names.ts'
import { neighbourRecords } from './gateway/neighbour-records.ts'
import { dhtRecords, topicRecords } from './gateway/network-records.ts'
import { RestrictedBlocks } from './gateway/restricted-blocks.ts'
import { startGateway } from './gateway/server.ts'
import type { GatewaySettings } from './gateway/settings.ts'
import { NameResolver } from './naming/name-resolver.ts'
import type { RecordSource } from './naming/record-source.ts'
import { routerRecords } from './naming/router-records.ts'
import { searchOutside } from './naming/search-outside.ts'
import type { NodeParts } from './node/run-node.ts'
import type { Config } from './runtime/config.ts'
import type { Log } from './runtime/log.ts'

/** What a node's gateway works with, in the process of the node or in one of its own. */
export interface GatewayParts extends Pick<NodeParts, 'transferClient' | 'directory'> {
  rules: RulesInForce
  store: BlockReader
  /** Undefined on a node that keeps no edge cache. */
  edge: Edge | undefined
  peer: NodeParts['peer']['client']
  records: NodeRecords
  registry: Registry
  ownName: () => string
  port: number
  /** Other processes listen there too. */
  isShared: boolean
  log: Log
}

/** Apart from each other: what anybody may put here, or have looked for, takes no place from the names of our accounts. */
export interface NodeRecords {
  /** Names of accounts. */
  hosted: RecordSource
  /** Names that anybody put here. */
  given: KeptRecords
  /** Names of others that were looked for. */
  found: KeptRecords
}

/** @throws CONFIG when the port is taken */
export async function openNodeGateway(
  config: Config,
  parts: GatewayParts,
): Promise<AsyncDisposable & { url: string; resolver: NameResolver }> {
  const { store, transferClient, directory, rules, peer, records, ownName, log } = parts
  await using opened = new AsyncDisposableStack()
  const upNodes = (): DirectoryNode[] => directory.current.nodes.filter(({ liveness }) => liveness === 'up')
  const otherNodes = (): string[] => upNodes().flatMap(({ name }) => (name === ownName() ? [] : [name]))
  const otherGateways = (): string[] => upNodes().flatMap((node) => (node.name === ownName() ? [] : [node.gateway]))
  const resolver = opened.use(
    new NameResolver({
      records: searchOutside({
        ...records,
        cluster: neighbourRecords(otherGateways),
        outside: [
          ...config.HOLDFAST_ROUTERS.map((url) => routerRecords(url)),
          dhtRecords(peer),
          ...(config.HOLDFAST_PUBSUB ? [topicRecords(peer)] : []),
        ],
      }),
      ...domainLinks(config),
    }),
  )
  const restricted = new RestrictedBlocks({ rules, store, client: transferClient, nodes: otherNodes, log })
  const following = new AbortController()
  const followed = restricted.follow(following.signal)
  opened.defer(async () => {
    following.abort()
    await followed
  })
  const gateway = opened.use(
    await startGateway({
      store,
      edge: parts.edge,
      holders: findHolders({ client: transferClient, nodes: otherNodes, log }),
      ...(config.HOLDFAST_NOFETCH ? {} : { network: peer }),
      names: namesOf({ resolver, store: records.given }),
      routing: routeToCluster({ store, client: transferClient, nodes: upNodes, ownName }),
      hosts: config.HOLDFAST_GATEWAY_HOSTS,
      trustedProxies: config.HOLDFAST_TRUSTED_PROXIES,
      isProxy: config.HOLDFAST_GATEWAY_PROXY,
      rules,
      restricted,
      metrics: gatewayMetrics(parts.registry),
      settings: budgetsOf(config),
      log,
      host: config.HOLDFAST_HOST,
      port: parts.port,
      isShared: parts.isShared,
    }),
  )
  const owned = opened.move()
  return { url: gateway.url, resolver, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** 0 stands for no limit. */
function budgetsOf(config: Config): Partial<GatewaySettings> {
  const limit = (perSecond: number | undefined): number => perSecond || Number.POSITIVE_INFINITY
  return {
    addressRequestsPerSecond: limit(config.HOLDFAST_GATEWAY_REQUEST_RATE),
    addressBytesPerSecond: limit(config.HOLDFAST_GATEWAY_BYTE_RATE),
    hostBytesPerSecond: limit(config.HOLDFAST_GATEWAY_HOST_BYTE_RATE),
    tenantBytesPerSecond: limit(config.HOLDFAST_GATEWAY_TENANT_BYTE_RATE),
  }
}
