import type { CID } from 'multiformats/cid'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight, type HeliaWithLibp2p } from '@helia/libp2p'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { fetch, type Fetch } from '@libp2p/fetch'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify, type Identify } from '@libp2p/identify'
import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { kadDHT, passthroughMapper, removePrivateAddressesMapper, type SingleKadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import type { BlockReader } from '../blocks/contract.ts'
import { MIB, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { refusalOf, type DialPolicy } from './address-policy.ts'
import { catchBitswap } from './bitswap-port.ts'
import { HASHERS } from './hashers.ts'
import type { Log } from './log.ts'
import { nameResolvers, type NameLookup } from './name-resolvers.ts'
import { ReaderBlockstore } from './reader-blockstore.ts'
import { RecordDatastore } from './record-datastore.ts'
import { paceServing, type Serving } from './serving.ts'
import { readAnchor, stayConnected } from './stay-connected.ts'
import { Topics, type TopicSettings } from './topics.ts'
import { isOlderValue, selectorsOf, storedRecord, validatorsOf, type ValueRulesByNamespace } from './value-rules.ts'
import { Wants } from './wants.ts'

interface DhtSettings {
  /** `/ipfs/kad/1.0.0` is the public DHT; a cluster of its own takes a name of its own. */
  protocol: string
  /** A server answers others' queries and stores their records; it must be reachable. */
  mode: 'server' | 'client'
  /** Whether private addresses of peers are kept: in a cluster on one machine or network there are no others. */
  keepPrivateAddresses: boolean
  /** Multiaddrs with `/p2p/…` that the peer stays connected to. */
  bootstrap: readonly string[]
  /** What values are stored and answered, by the first segment of their keys (`ipns`). @default none but public keys */
  values?: ValueRulesByNamespace
}

export interface PeerSettings {
  /** 32 bytes; the Ed25519 key that they make is the peer's identity. */
  seed: Uint8Array
  /** TCP multiaddrs; port 0 takes a free one. */
  listen: readonly string[]
  /** Addresses to tell others instead of those listened on. */
  announce?: readonly string[]
  dht: DhtSettings
  /** Values of the kinds that the DHT stores are told and heard by PubSub too. @default they are not */
  pubsub?: TopicSettings
  dial: Pick<DialPolicy, 'allowPrivate' | 'deniedPorts' | 'deniedHosts'>
  /** Connections to keep at most; the least useful are closed beyond that. */
  maxConnections?: number
  /** Which of the stored blocks are not for the network; asked about each that a peer wants. */
  withholding?: (reader: BlockReader) => (cid: CID) => boolean
}

export interface PeerParts {
  reader: BlockReader
  settings: PeerSettings
  log: Log
  names?: NameLookup
}

type PeerServices = { identify: Identify; ping: Ping; dht: SingleKadDHT; pubsub?: GossipSub; fetch?: Fetch }

/** A running member of the IPFS network. Serves what the reader has by bitswap. Disposing it closes all connections. */
export interface Peer extends AsyncDisposable {
  readonly id: PeerId
  readonly libp2p: Libp2p<PeerServices>
  readonly helia: HeliaWithLibp2p<PeerServices>
  readonly reader: BlockReader
  readonly wants: Wants
  readonly serving: Serving
  /** Undefined on a peer without PubSub. */
  readonly topics: Topics | undefined
  readonly log: Log
  /** Aborts when the peer is disposed. */
  readonly signal: AbortSignal
}

/** DHT records of strangers that are kept; one takes about 300 bytes. */
const MAX_RECORDS = 200_000
/**
 * Nodes of a cluster often share one address (a NAT, one machine), and libp2p resets more than 5 new connections a
 * second from one.
 */
const INBOUND_CONNECTIONS_PER_SECOND = 64
const MAX_PENDING_CONNECTIONS = 64
/** Bitswap takes a stream per message; a message is at most 4 MiB, which bounds what one connection makes us hold. */
const MAX_INBOUND_BITSWAP_STREAMS = 64
/** Kubo asks for each topic that it has in common with us on a stream of its own, all at once. */
const MAX_FETCH_STREAMS = 64
/** What one peer can have noted of the topics it is in; a topic counts for 1 KiB and more. */
const MAX_TOPIC_BYTES_OF_PEER = MIB / 2
/** As go-libp2p-pubsub has it. */
const MAX_GOSSIP_BYTES = MIB
/** What waits for a peer that does not read: all topics that we are in, and some messages. */
const MAX_UNREAD_GOSSIP_BYTES = 2 * MIB
/** A slice of 2 MiB (serving.ts) leaves in this time at 100 KB/s. */
const SEND_TIMEOUT_MS = 20 * SECOND_MS

/**
 * Starts libp2p, the DHT and bitswap over the reader's blocks.
 * @throws CONFIG when a bootstrap address is none
 */
export async function openPeer({ reader, settings, log, names }: PeerParts): Promise<Peer> {
  const anchors = settings.dht.bootstrap.map(readAnchor)
  const privateKey = await generateKeyPairFromSeed('Ed25519', settings.seed)
  const id = peerIdFromPrivateKey(privateKey)
  const helia = compose({ reader, settings, log, privateKey, id, ...(names === undefined ? {} : { names }) })
  const bitswap = catchBitswap(helia)
  await helia.start()
  const { libp2p } = helia
  const port = bitswap()
  const wants = new Wants(port)
  const serving = paceServing(port.peerWantLists, {
    sizeOf: (cid) => reader.sizeOf(cid),
    isWithheld: settings.withholding?.(reader),
    isConnected: (peer) => libp2p.getConnections(peer).length > 0,
  })
  libp2p.addEventListener('peer:disconnect', (event) => wants.peerLeft(event.detail))
  const { pubsub: gossip, fetch: fetching } = libp2p.services
  const rules = settings.dht.values ?? {}
  const topics =
    gossip === undefined || fetching === undefined
      ? undefined
      : await Topics.open({ libp2p, gossip, fetch: fetching, rules, settings: settings.pubsub ?? {}, log })
  const stopping = new AbortController()
  const connected = stayConnected(libp2p, anchors, { signal: stopping.signal, log })
  return {
    id,
    libp2p,
    helia,
    reader,
    wants,
    serving,
    topics,
    log,
    signal: stopping.signal,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await connected
      await topics?.[Symbol.asyncDispose]()
      await helia.stop()
    },
  }
}

function compose(parts: PeerParts & { privateKey: PrivateKey; id: PeerId }): HeliaWithLibp2p<PeerServices> {
  const { reader, settings, log, privateKey, id } = parts
  const helia = createHeliaLight({
    blockstore: new ReaderBlockstore(reader, log),
    datastore: new RecordDatastore({
      self: id.toString(),
      maxRecords: MAX_RECORDS,
      isOlder: isOlderValue(settings.dht.values ?? {}),
      stored: storedRecord(settings.dht.values ?? {}),
    }),
    hashers: HASHERS,
    // Stands where Helia would put the DHT, so that nothing inside looks up the providers of single blocks.
    routers: [{ name: 'libp2p-router' }],
  })
  const networked = withLibp2pLight<typeof helia, PeerServices>(helia, {
    privateKey,
    addresses: { listen: [...settings.listen], announce: [...(settings.announce ?? [])] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: settings.maxConnections ?? 300,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      resolvers: nameResolvers(parts.names),
    },
    connectionGater: gater(settings, log),
    services: {
      identify: identify(),
      ping: ping(),
      dht: dht(settings.dht),
      ...(settings.pubsub === undefined
        ? {}
        : { pubsub: valueGossip(), fetch: fetch({ maxInboundStreams: MAX_FETCH_STREAMS }) }),
    },
  })
  return withBitswap(networked, {
    sendWantlistDebounce: 0,
    maxInboundStreams: MAX_INBOUND_BITSWAP_STREAMS,
    messageSendTimeout: SEND_TIMEOUT_MS,
  })
}

function gater(
  settings: PeerSettings,
  log: Log,
): { denyDialMultiaddr: (address: ReturnType<typeof multiaddr>) => boolean } {
  const trusted = new Set(settings.dht.bootstrap.map((address) => address.replace(/\/p2p\/[^/]+$/, '')))
  const policy: DialPolicy = { ...settings.dial, trusted }
  return {
    denyDialMultiaddr: (address) => {
      const refusal = refusalOf(address, policy)
      if (refusal !== undefined) log.debug({ address: address.toString(), refusal }, 'an address is not dialled')
      return refusal !== undefined
    },
  }
}

function valueGossip(): ReturnType<typeof gossipsub> {
  return gossipsub({
    allowPublishToZeroTopicPeers: true,
    // A peer is read no faster than what it sends can be checked: pace-gossip.ts.
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    maxInboundDataLength: MAX_GOSSIP_BYTES,
    maxOutboundBufferSize: MAX_UNREAD_GOSSIP_BYTES,
    maxTopicBytesPerPeer: MAX_TOPIC_BYTES_OF_PEER,
    // Whoever joins a topic of ours has no claim on a connection for that.
    tagMeshPeers: false,
    scoreParams: {
      // Peers of this machine are a cluster on trial, not one attacker.
      IPColocationFactorWhitelist: new Set(['127.0.0.1', '::1']),
      // Of each peer that was ever connected this much is remembered so long.
      retainScore: 5 * MINUTE_MS,
    },
  })
}

function dht(settings: DhtSettings): (components: Parameters<ReturnType<typeof kadDHT>>[0]) => SingleKadDHT {
  const make = kadDHT({
    protocol: settings.protocol,
    clientMode: settings.mode === 'client',
    peerInfoMapper: settings.keepPrivateAddresses ? passthroughMapper : removePrivateAddressesMapper,
    // A peer that is alone answers "nobody" at once instead of waiting for company.
    allowQueryWithZeroPeers: true,
    validators: validatorsOf(settings.values ?? {}),
    selectors: selectorsOf(settings.values ?? {}),
    reprovide: { concurrency: 1 },
  })
  return (components) => make(components) as SingleKadDHT
}
