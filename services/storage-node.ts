import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Registry } from 'prom-client'
import { openBlockStore } from './blocks/store.ts'
import type { NameSink } from './core/name-feed.ts'
import { MINUTE_MS } from './core/units.ts'
import { domainLinks } from './domain-links.ts'
import type { DirectoryNode, Registered } from './core/sync.ts'
import { routeToCluster } from './gateway/cluster-routing.ts'
import { dhtRecords } from './gateway/dht-records.ts'
import { findHolders } from './gateway/holders.ts'
import { gatewayMetrics } from './gateway/metrics.ts'
import { namesOf } from './gateway/names.ts'
import { neighbourRecords } from './gateway/neighbour-records.ts'
import { RestrictedBlocks } from './gateway/restricted-blocks.ts'
import { startGateway } from './gateway/server.ts'
import type { GatewaySettings } from './gateway/settings.ts'
import { NameResolver } from './naming/name-resolver.ts'
import { parseIpnsName } from './naming/ipns-name.ts'
import { verifyIpnsRecord } from './naming/ipns-record.ts'
import { openRecordStore, type RecordStore } from './naming/record-store.ts'
import { routerRecords } from './naming/router-records.ts'
import { searchOutside } from './naming/search-outside.ts'
import { runNode, type NodeParts } from './node/run-node.ts'
import { peerSocket } from './peer/socket-path.ts'
import { childEnvironment, type Config } from './runtime/config.ts'
import { loadIdentity } from './runtime/identity.ts'
import type { Log } from './runtime/log.ts'
import { startMetrics } from './runtime/metrics.ts'
import { sayReady } from './runtime/role-process.ts'
import { ENGINE_FLAGS } from './runtime/engine-flags.ts'

/** Names of accounts that a node keeps; each takes one small file. */
const MAX_HOSTED_NAMES = 1_000_000

/** Runs a storage node: store, transfer, gateway and agent in this process, and its peer as a child process. */
export async function runStorageNode(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const folder = resolve(config.HOLDFAST_DATA)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const identity = await loadIdentity(join(folder, 'node.key'))
  await using metrics = await startMetrics(config, log)
  metrics.registry.setDefaultLabels({ node: config.HOLDFAST_NODE_NAME ?? '' })
  let parts: NodeParts | undefined
  let gatewayUrl = ''
  let name = config.HOLDFAST_NODE_NAME ?? ''

  await runNode(
    {
      folder,
      name: config.HOLDFAST_NODE_NAME,
      labels: config.HOLDFAST_NODE_LABELS,
      capacityBytes: config.HOLDFAST_CAPACITY,
      controlUrl: config.HOLDFAST_CONTROL_URL,
      joinToken: config.HOLDFAST_JOIN_TOKEN,
      host: config.HOLDFAST_HOST,
      transferPort: config.HOLDFAST_TRANSFER_PORT,
      transferAddress: config.HOLDFAST_TRANSFER_ADDRESS,
      repairBytesPerSecond: config.HOLDFAST_REPAIR_BYTE_RATE,
      graceMs: config.HOLDFAST_GRACE,
      peer: {
        command: process.execPath,
        args: [...ENGINE_FLAGS, join(import.meta.dirname, 'main.ts'), 'peer'],
        env: childEnvironment({ HOLDFAST_DATA: folder }),
        socketPath: peerSocket(folder),
      },
    },
    {
      identity,
      log,
      openStore: openBlockStore,
      startGateway: async (opened) => {
        parts = opened
        const gateway = await openGateway(config, opened, {
          folder,
          log,
          registry: metrics.registry,
          ownName: () => name,
        })
        gatewayUrl = config.HOLDFAST_GATEWAY_URL ?? gateway.url
        return { url: gatewayUrl, names: gateway.names, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() }
      },
      onRegistered: (registered: Registered) => {
        name = registered.name
        void tellReady(config, { name, gatewayUrl, folder, parts, signal, log })
      },
    },
    signal,
  )
}

async function openGateway(
  config: Config,
  { store, transferClient, directory, rules, peer }: NodeParts,
  { folder, log, registry, ownName }: { folder: string; log: Log; registry: Registry; ownName: () => string },
): Promise<AsyncDisposable & { url: string; names: NameSink }> {
  await using opened = new AsyncDisposableStack()
  const upNodes = (): DirectoryNode[] => directory.current.nodes.filter(({ liveness }) => liveness === 'up')
  const otherNodes = (): string[] => upNodes().flatMap(({ name }) => (name === ownName() ? [] : [name]))
  const otherGateways = (): string[] => upNodes().flatMap((node) => (node.name === ownName() ? [] : [node.gateway]))
  // Apart from each other: what anybody may put here, or have looked for, takes no place from the names of our accounts.
  const hosted = await openRecordStore(join(folder, 'hosted-names'), { maxNames: MAX_HOSTED_NAMES })
  const records = await openRecordStore(join(folder, 'names'))
  const found = await openRecordStore(join(folder, 'found-names'))
  const resolver = opened.use(
    new NameResolver({
      records: searchOutside({
        hosted,
        given: records,
        found,
        cluster: neighbourRecords(otherGateways),
        outside: [...config.HOLDFAST_ROUTERS.map((url) => routerRecords(url)), dhtRecords(peer.client)],
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
      holders: findHolders({ client: transferClient, nodes: otherNodes, log }),
      ...(config.HOLDFAST_NOFETCH ? {} : { network: peer.client }),
      names: namesOf({ resolver, store: records }),
      routing: routeToCluster({ store, client: transferClient, nodes: upNodes, ownName }),
      hosts: config.HOLDFAST_GATEWAY_HOSTS,
      trustedProxies: config.HOLDFAST_TRUSTED_PROXIES,
      isProxy: config.HOLDFAST_GATEWAY_PROXY,
      rules,
      restricted,
      metrics: gatewayMetrics(registry),
      settings: budgetsOf(config),
      log,
      host: config.HOLDFAST_HOST,
      port: config.HOLDFAST_GATEWAY_PORT,
    }),
  )
  const owned = opened.move()
  return {
    url: gateway.url,
    names: namesServedBy(resolver, hosted),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function namesServedBy(resolver: NameResolver, hosted: RecordStore): NameSink {
  return {
    offer(text, record) {
      const name = parseIpnsName(text)
      resolver.offer(name, verifyIpnsRecord(name, record))
    },
    async keep(text, record) {
      const name = parseIpnsName(text)
      await hosted.put(name, verifyIpnsRecord(name, record))
    },
  }
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

interface ReadyDetails {
  name: string
  gatewayUrl: string
  folder: string
  parts: NodeParts | undefined
  signal: AbortSignal
  log: Log
}

/** Says that the node is in the cluster and its peer can be dialled. */
async function tellReady(
  config: Config,
  { name, gatewayUrl, folder, parts, signal, log }: ReadyDetails,
): Promise<void> {
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(MINUTE_MS)])
    await parts?.peer.ready({ signal: within })
    const status = await parts?.peer.client.status({ signal: within })
    sayReady({
      id: name,
      region: config.HOLDFAST_NODE_LABELS['region'],
      pid: process.pid,
      gateway: gatewayUrl,
      peer: status?.peerId,
      addresses: status?.multiaddrs,
      data: folder,
    })
  } catch (error) {
    if (!signal.aborted) log.error({ err: error }, 'the peer process does not come up')
  }
}
