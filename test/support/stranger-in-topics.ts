import { withLibp2pLight } from '@helia/libp2p'
import { fetch, type Fetch } from '@libp2p/fetch'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'

/** A peer of PubSub that keeps to no rules: it says what the test says, and notes what it hears. */
export interface StrangerInTopics extends AsyncDisposable {
  gossip: GossipSub
  fetch: Fetch
  id: string
  /** Data of the messages that were passed on to it. */
  heard: Uint8Array[]
  connect(address: string): Promise<void>
}

/** The topic of a routing key. */
export function topicOf(key: Uint8Array): string {
  return `/record/${Buffer.from(key).toString('base64url')}`
}

export async function openStranger(): Promise<StrangerInTopics> {
  const helia = withLibp2pLight(createHeliaLight(), {
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }),
      fetch: fetch(),
    },
  })
  await helia.start()
  const { pubsub } = helia.libp2p.services
  const heard: Uint8Array[] = []
  pubsub.addEventListener('message', ({ detail }) => void heard.push(detail.data))
  return {
    gossip: pubsub,
    fetch: helia.libp2p.services.fetch,
    id: helia.libp2p.peerId.toString(),
    heard,
    connect: async (address) => void (await helia.libp2p.dial(multiaddr(address))),
    async [Symbol.asyncDispose]() {
      await helia.stop()
    },
  }
}
