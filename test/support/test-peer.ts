import { randomBytes } from 'node:crypto'
import type { Log } from '../../services/swarm/log.ts'
import { openPeer, type Peer, type PeerSettings } from '../../services/swarm/peer.ts'
import { MemoryReader } from './memory-reader.ts'

export const TEST_DHT = '/holdfast-test/kad/1.0.0'

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Settings of a peer that lives on the loopback interface. */
export function loopbackSettings(bootstrap: readonly string[] = []): PeerSettings {
  return {
    seed: randomBytes(32),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    dht: { protocol: TEST_DHT, mode: 'server', keepPrivateAddresses: true, bootstrap },
    dial: { allowPrivate: true, deniedPorts: new Set(), deniedHosts: new Set() },
  }
}

export interface TestPeer extends AsyncDisposable {
  peer: Peer
  store: MemoryReader
  address: string
}

/** One of our peers over an empty store in memory. */
export async function openTestPeer(settings: Partial<PeerSettings> = {}): Promise<TestPeer> {
  const store = new MemoryReader()
  const peer = await openPeer({ reader: store, settings: { ...loopbackSettings(), ...settings }, log: silentLog })
  return {
    peer,
    store,
    address: String(peer.libp2p.getMultiaddrs()[0]),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  }
}
