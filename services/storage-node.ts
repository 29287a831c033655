import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { openBlockStore } from './blocks/store.ts'
import type { EdgeReads } from './core/edge-reads.ts'
import type { NameSink } from './core/name-feed.ts'
import { MINUTE_MS } from './core/units.ts'
import type { Registered } from './core/sync.ts'
import { EdgeBlocks } from './gateway/edge-blocks.ts'
import { startGatewayWorkers } from './gateway-workers.ts'
import { nameOfRoutingKey, parseIpnsName, type IpnsName } from './naming/ipns-name.ts'
import { validateIpnsRecord, verifyIpnsRecord, type IpnsRecord } from './naming/ipns-record.ts'
import { openRecordStore, type RecordStore } from './naming/record-store.ts'
import { openNodeGateway } from './node-gateway.ts'
import { EdgeCache, removeEdgeCache } from './node/edge-cache.ts'
import type { HearRecord } from './node/hear-topics.ts'
import { runNode, type NodeParts } from './node/run-node.ts'
import { peerSocket } from './peer/socket-path.ts'
import { childEnvironment, type Config } from './runtime/config.ts'
import { loadIdentity } from './runtime/identity.ts'
import type { Log } from './runtime/log.ts'
import { startMetrics, type Metrics } from './runtime/metrics.ts'
import { sayReady } from './runtime/role-process.ts'
import { ENGINE_FLAGS } from './runtime/engine-flags.ts'

/** Names of accounts that a node keeps; each takes one small file. */
const MAX_HOSTED_NAMES = 1_000_000

/**
 * Runs a storage node: store, transfer, agent and, unless it has processes of its own, gateway in this process, and its
 * peer as a child process.
 */
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
          metrics,
          signal,
          ownName: () => name,
        })
        gatewayUrl = config.HOLDFAST_GATEWAY_URL ?? gateway.url
        const { names, hear } = gateway
        return { url: gatewayUrl, names, hear, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() }
      },
      onRegistered: (registered: Registered) => {
        name = registered.name
        void tellReady(config, { name, gatewayUrl, folder, parts, signal, log })
      },
    },
    signal,
  )
}

interface OwnGateway extends AsyncDisposable {
  url: string
  names: NameSink
  hear: HearRecord
}

interface GatewayPlace {
  folder: string
  log: Log
  metrics: Metrics
  signal: AbortSignal
  ownName: () => string
}

/** The gateway, in this process or in processes of its own; what is to be kept on disk is written here in any case. */
async function openGateway(config: Config, parts: NodeParts, place: GatewayPlace): Promise<OwnGateway> {
  const { folder, log, metrics, signal, ownName } = place
  const hosted = await openRecordStore(join(folder, 'hosted-names'), { maxNames: MAX_HOSTED_NAMES })
  const given = await openRecordStore(join(folder, 'names'))
  const found = await openRecordStore(join(folder, 'found-names'))
  await using opened = new AsyncDisposableStack()
  const cache = await openEdgeCache(config, parts, place)
  if (cache !== undefined) opened.use(cache)
  const onReads = (reads: EdgeReads): void => cache?.heard(reads)
  if (config.HOLDFAST_GATEWAY_WORKERS > 0) {
    const records = { given, found }
    const workers = opened.use(
      await startGatewayWorkers(config, { ...parts, folder, records, onReads, ownName, signal, log }),
    )
    metrics.include(() => workers.metrics())
    const offer: Offer = (name, record) => workers.offer(name.text, record.bytes)
    const owned = opened.move()
    return {
      url: workers.url,
      names: namesServedBy(offer, hosted),
      hear: heardBy(offer, { hosted, found }),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  }
  const edge = cache === undefined ? undefined : opened.use(new EdgeBlocks({ store: cache.store, tell: onReads }))
  const gateway = opened.use(
    await openNodeGateway(config, {
      ...parts,
      edge,
      peer: parts.peer.client,
      records: { hosted, given, found },
      registry: metrics.registry,
      ownName,
      port: config.HOLDFAST_GATEWAY_PORT,
      isShared: false,
      log,
    }),
  )
  const offer: Offer = (name, record) => gateway.resolver.offer(name, record)
  const owned = opened.move()
  return {
    url: gateway.url,
    names: namesServedBy(offer, hosted),
    hear: heardBy(offer, { hosted, found }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Undefined on a node that keeps none; what it had of one is removed. */
async function openEdgeCache(
  config: Config,
  { store, transferClient: client, directory }: NodeParts,
  { folder, log, ownName }: GatewayPlace,
): Promise<EdgeCache | undefined> {
  const budgetBytes = config.HOLDFAST_EDGE_CACHE
  if (budgetBytes === undefined) {
    await removeEdgeCache(folder)
    return undefined
  }
  const nodes = (): string[] =>
    directory.current.nodes.flatMap(({ name, liveness }) => (liveness === 'up' && name !== ownName() ? [name] : []))
  return await EdgeCache.open({ folder, budgetBytes, openStore: openBlockStore, store, client, nodes, log })
}

type Offer = (name: IpnsName, record: IpnsRecord) => void

/** Records that came by themselves are kept with those that were found; names of accounts are kept elsewhere already. */
function heardBy(offer: Offer, { hosted, found }: { hosted: RecordStore; found: RecordStore }): HearRecord {
  return async (key, bytes) => {
    const name = nameOfRoutingKey(key)
    const record = validateIpnsRecord(name, bytes, Date.now())
    const known = await hosted.get(name, {})
    if (known !== undefined && Buffer.compare(known, bytes) === 0) return
    offer(name, record)
    await found.put(name, record)
  }
}

function namesServedBy(offer: Offer, hosted: RecordStore): NameSink {
  return {
    offer(text, record) {
      const name = parseIpnsName(text)
      offer(name, verifyIpnsRecord(name, record))
    },
    async keep(text, record) {
      const name = parseIpnsName(text)
      await hosted.put(name, verifyIpnsRecord(name, record))
    },
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
