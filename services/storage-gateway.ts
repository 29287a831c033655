import { join, resolve } from 'node:path'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { openBlockReader } from './blocks/reader.ts'
import type { EdgeReads } from './core/edge-reads.ts'
import { HoldfastError } from './core/errors.ts'
import { SECOND_MS } from './core/units.ts'
import type { FromWorker, ToWorker } from './gateway-worker-messages.ts'
import { EdgeBlocks } from './gateway/edge-blocks.ts'
import type { KeptRecords } from './gateway/names.ts'
import { parseIpnsName } from './naming/ipns-name.ts'
import { verifyIpnsRecord, type IpnsRecord } from './naming/ipns-record.ts'
import type { NameResolver } from './naming/name-resolver.ts'
import { recordsIn } from './naming/record-store.ts'
import { DirectoryFile } from './node/directory-file.ts'
import { edgeStoreFolder } from './node/edge-cache.ts'
import { RulesFolder } from './node/rules-folder.ts'
import { openNodeGateway } from './node-gateway.ts'
import { peerSocket } from './peer/socket-path.ts'
import type { Config } from './runtime/config.ts'
import { loadIdentity } from './runtime/identity.ts'
import type { Log } from './runtime/log.ts'
import { loop } from './runtime/loop.ts'
import { watchParent } from './runtime/parent.ts'
import { aborted } from './runtime/run.ts'
import { connectPeer } from './swarm/client.ts'
import { openTransferClient } from './transfer/client.ts'

/** How soon what the node has written to its folder counts here. */
const REFRESH_MS = SECOND_MS
/** How long the node may take to keep a record. */
const KEPT_WITHIN_MS = 10 * SECOND_MS

/** Runs one of the gateway processes of a node: it reads what the node writes, and has it write for it. */
export async function runGatewayProcess(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const folder = resolve(config.HOLDFAST_DATA)
  using parent = watchParent()
  const until = AbortSignal.any([signal, parent.gone])
  const node = new NodeLink((message) => parent.tell(message))
  await using opened = new AsyncDisposableStack()
  const identity = await loadIdentity(join(folder, 'node.key'))
  const directory = await DirectoryFile.open(join(folder, 'directory.json'))
  const rules = await RulesFolder.open(join(folder, 'rules'))
  const onCorrupt: Parameters<typeof openBlockReader>[1] = {
    onCorrupt: (cid) => parent.tell({ kind: 'corrupt', cid: cid.toString() } satisfies FromWorker),
  }
  const store = opened.use(await openBlockReader(join(folder, 'blocks'), onCorrupt))
  const edge = config.HOLDFAST_EDGE_CACHE === undefined ? undefined : await readEdgeCache(folder, parent, opened)
  const transferClient = opened.use(openTransferClient({ identity, directory }))
  const peer = opened.use(connectPeer(peerSocket(folder)))
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  registry.setDefaultLabels({ node: config.HOLDFAST_NODE_NAME ?? '' })
  let ownName = config.HOLDFAST_NODE_NAME ?? ''
  const shelf = (name: string): string => join(folder, name)
  // What is offered meanwhile may be newer than what is read from the folder then.
  const resolving = Promise.withResolvers<NameResolver>()
  const informed = Promise.withResolvers<void>()
  const onMessage = (message: ToWorker): void => {
    if (message.kind === 'state') {
      ownName = message.name
      rules.hear({
        nowMs: message.nowMs,
        signingKeys: message.signingKeys.map(([tenant, keys]) => [tenant, keys.map(bytesOf)]),
      })
      informed.resolve()
    } else if (message.kind === 'offer') {
      const name = parseIpnsName(message.name)
      const record = verifyIpnsRecord(name, bytesOf(message.record))
      void resolving.promise.then((resolver) => resolver.offer(name, record))
    } else if (message.kind === 'count') {
      void registry.getMetricsAsJSON().then((metrics) => parent.tell({ kind: 'counted', id: message.id, metrics }))
    } else {
      node.hear(message)
    }
  }
  process.on('message', onMessage)
  opened.defer(() => void process.off('message', onMessage))
  parent.tell({ kind: 'hello' } satisfies FromWorker)
  // Without the keys and the time, signed URLs would be refused that are good.
  await Promise.race([informed.promise, aborted(until)])
  const gateway = opened.use(
    await openNodeGateway(config, {
      store,
      edge,
      transferClient,
      directory,
      rules,
      peer,
      records: {
        hosted: recordsIn(shelf('hosted-names')),
        given: node.records('given', shelf('names')),
        found: node.records('found', shelf('found-names')),
      },
      registry,
      ownName: () => ownName,
      port: config.HOLDFAST_GATEWAY_PORT,
      isShared: true,
      log,
    }),
  )
  resolving.resolve(gateway.resolver)
  const refreshing = loop('refresh', () => Promise.all([directory.refresh(), rules.refresh()]).then(() => undefined), {
    everyMs: REFRESH_MS,
    log,
    signal: until,
  })
  parent.tellReady()
  await aborted(until)
  await refreshing
}

/** What the node has in its edge cache, and the way to say what was read. */
async function readEdgeCache(
  folder: string,
  parent: ReturnType<typeof watchParent>,
  opened: AsyncDisposableStack,
): Promise<EdgeBlocks> {
  const store = opened.use(await openBlockReader(edgeStoreFolder(folder)))
  const tell = (reads: EdgeReads): void => parent.tell({ kind: 'read', reads } satisfies FromWorker)
  return opened.use(new EdgeBlocks({ store, tell }))
}

type Settled = Extract<ToWorker, { kind: 'kept' | 'refused' }>

/** The way to the process that writes. */
class NodeLink {
  readonly #tell: (message: FromWorker) => void
  readonly #waiting = new Map<number, (settled: Settled) => void>()
  #id = 0

  constructor(tell: (message: FromWorker) => void) {
    this.#tell = tell
  }

  hear(settled: Settled): void {
    this.#waiting.get(settled.id)?.(settled)
  }

  /** Records that are read from the folder here, and kept there by the node. */
  records(shelf: 'given' | 'found', folder: string): KeptRecords {
    return {
      ...recordsIn(folder),
      put: async (name, record) => {
        const bytes = await this.#put(shelf, name.text, record)
        return verifyIpnsRecord(name, bytes)
      },
    }
  }

  /** @throws what the node answers; UNAVAILABLE when it does not in time */
  async #put(shelf: 'given' | 'found', name: string, { bytes }: IpnsRecord): Promise<Uint8Array> {
    const id = ++this.#id
    const { promise, resolve, reject } = Promise.withResolvers<Settled>()
    const late = (): void => reject(new HoldfastError('UNAVAILABLE', 'This node is too busy to keep a record.'))
    const timer = setTimeout(late, KEPT_WITHIN_MS)
    this.#waiting.set(id, resolve)
    this.#tell({ kind: 'put', id, shelf, name, record: Buffer.from(bytes).toString('base64') })
    try {
      const settled = await promise
      if (settled.kind === 'refused') throw new HoldfastError(settled.code, settled.message)
      return bytesOf(settled.record)
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
  }
}

function bytesOf(base64: string): Uint8Array {
  return Buffer.from(base64, 'base64')
}
