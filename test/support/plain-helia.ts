/**
 * A Helia node as its documentation builds one, in a process of its own: nothing of Holdfast is in it. It does what its
 * parent asks over IPC: `{ id, verb, ... }` is answered by `{ id, answer }` or `{ id, error }`.
 */
import { createHash } from 'node:crypto'
import { withBitswap } from '@helia/bitswap'
import { delegatedHTTPRouter } from '@helia/delegated-routing-client'
import { ipns, pubSubIPNSRouting } from '@helia/ipns'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import { fetch } from '@libp2p/fetch'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Startable } from '@libp2p/interface'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { seededBytes } from './random-bytes.ts'

export type Request =
  | { verb: 'addresses' }
  | { verb: 'addFile'; bytes: number; seed: number; chunkBytes: number }
  | { verb: 'addDirectory'; entries: number }
  | { verb: 'addCbor'; links: string[] }
  | { verb: 'offer'; blocks: { cid: string; base64: string }[] }
  | { verb: 'cat'; cid: string }
  | { verb: 'connect'; address: string }
  | { verb: 'provide'; cid: string }
  | { verb: 'drop'; cid: string }
  | { verb: 'publishName'; key: string; value: string }
  | { verb: 'resolveName'; name: string }
  | { verb: 'topicMembers'; topic: string }

export interface Settings {
  dhtProtocol: string
  /** URL of a delegated router: then the node has no DHT. */
  router?: string
  /** The node has PubSub, and neither a DHT nor a router. */
  isPubSubAlone?: boolean
}

const { dhtProtocol: protocol, router, isPubSubAlone = false } = JSON.parse(process.argv[2] ?? '{}') as Settings
const pubsub = { pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }), fetch: fetch() }
const dht = { dht: kadDHT({ protocol, clientMode: false, peerInfoMapper: passthroughMapper }) }

const helia = withBitswap(
  withLibp2pLight(createHeliaLight({ routers: router === undefined ? [] : [delegatedHTTPRouter({ url: router })] }), {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 100 },
    services: {
      identify: identify(),
      ping: ping(),
      ...(isPubSubAlone ? pubsub : {}),
      ...(router === undefined && !isPubSubAlone ? dht : {}),
    },
  }),
)
await helia.start()
const fs = unixfs(helia)
const topics = isPubSubAlone ? pubSubIPNSRouting(helia as Parameters<typeof pubSubIPNSRouting>[0]) : undefined
// Without it the router asks nobody for what they have.
await (topics as Startable | undefined)?.start?.()
const names = ipns(helia, { routers: topics === undefined ? [] : [topics] })

type Verbs = { [V in Request['verb']]: (request: Extract<Request, { verb: V }>) => Promise<unknown> }

const verbs: Verbs = {
  addresses: () => Promise.resolve(helia.libp2p.getMultiaddrs().map(String)),
  async addFile({ bytes, seed, chunkBytes }) {
    const options = { chunker: fixedSize({ chunkSize: chunkBytes }), cidVersion: 1, rawLeaves: true } as const
    return String(await fs.addBytes(seededBytes(seed, bytes), options))
  },
  async addDirectory({ entries }) {
    const files = Array.from({ length: entries }, (_, index) => ({
      path: `dir/file-${index}.json`,
      content: Buffer.from(JSON.stringify({ name: `token ${index}` })),
    }))
    const added = await Array.fromAsync(fs.addAll(files, { shardSplitThresholdBytes: 1_000 }))
    return String(added.at(-1)?.cid)
  },
  async addCbor({ links }) {
    const bytes = dagCbor.encode({ links: links.map((link) => CID.parse(link)), count: links.length })
    const cid = CID.createV1(dagCbor.code, await sha256.digest(bytes))
    await helia.blockstore.put(cid, bytes)
    return String(cid)
  },
  async offer({ blocks }) {
    for (const { cid, base64 } of blocks) await helia.blockstore.put(CID.parse(cid), Buffer.from(base64, 'base64'))
  },
  async cat({ cid }) {
    const hash = createHash('sha256')
    for await (const chunk of fs.cat(CID.parse(cid))) hash.update(chunk)
    return hash.digest('hex')
  },
  connect: async ({ address }) => void (await helia.libp2p.dial(multiaddr(address))),
  provide: async ({ cid }) => await helia.routing.provide(CID.parse(cid)),
  drop: async ({ cid }) => await helia.blockstore.delete(CID.parse(cid)),
  publishName: async ({ key, value }) => (await names.publish(key, CID.parse(value))).name.replace('/ipns/', ''),
  async resolveName({ name }) {
    const steps = await Array.fromAsync(names.resolve(CID.parse(name, base36), { nocache: true }))
    return steps.at(-1)?.value
  },
  topicMembers: ({ topic }) => Promise.resolve(helia.libp2p.services.pubsub?.getSubscribers(topic).map(String) ?? []),
}

async function perform(request: Request): Promise<unknown> {
  return await (verbs[request.verb] as (request: Request) => Promise<unknown>)(request)
}

process.on('message', ({ id, ...request }: { id: number } & Request) => {
  perform(request).then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0, answer: null })
