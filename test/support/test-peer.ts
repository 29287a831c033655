import { randomBytes } from 'node:crypto'
import { ipnsValues } from '../../services/naming/dht-values.ts'
import type { Log } from '../../services/swarm/log.ts'
import { openPeer, type Peer, type PeerSettings } from '../../services/swarm/peer.ts'
import { openTestStore, type TestStore } from './test-store.ts'

export const TEST_DHT = '/holdfast-test/kad/1.0.0'

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Settings of a peer that lives on the loopback interface. */
export function loopbackSettings(bootstrap: readonly string[] = []): PeerSettings {
  return {
    seed: randomBytes(32),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    dht: {
      protocol: TEST_DHT,
      mode: 'server',
      keepPrivateAddresses: true,
      bootstrap,
      values: { ipns: ipnsValues() },
    },
    dial: { allowPrivate: true, deniedPorts: new Set(), deniedHosts: new Set() },
  }
}

export interface TestPeer extends AsyncDisposable {
  peer: Peer
  store: TestStore
  address: string
}

/** One of our peers over an empty store. */
export async function openTestPeer(settings: Partial<PeerSettings> = {}): Promise<TestPeer> {
  const store = await openTestStore()
  const peer = await openPeer({
    reader: store.blocks,
    settings: { ...loopbackSettings(), ...settings },
    log: silentLog,
  })
  return {
    peer,
    store,
    address: String(peer.libp2p.getMultiaddrs()[0]),
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}
