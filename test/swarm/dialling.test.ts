import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { nameResolvers, type NameLookup } from '../../services/swarm/name-resolvers.ts'
import { openPeer } from '../../services/swarm/peer.ts'
import { retrieve } from '../../services/swarm/retrieve.ts'
import { hasCode } from '../../services/core/errors.ts'
import { openTestStore, rawCid } from '../support/test-store.ts'
import { loopbackSettings, openTestPeer, silentLog } from '../support/test-peer.ts'
import { until } from '../support/until.ts'

const PEER = '12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust'

async function listener(): Promise<AsyncDisposable & { port: number; connections: () => number }> {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

/** A name that answers a public address when it is looked at first, and loopback ever after. */
function rebinding(): NameLookup {
  let isFirst = true
  return {
    addresses: () => {
      const address = isFirst ? '203.0.113.9' : '127.0.0.1'
      isFirst = false
      return Promise.resolve([{ address, family: 4 }])
    },
    texts: () => Promise.resolve([]),
  }
}

test('no origin of a pin makes us connect to a private address, by number, by name or by a name that changes', async () => {
  await using target = await listener()
  await using store = await openTestStore()
  const { port, connections } = target
  const settings = { ...loopbackSettings(), listen: ['/ip4/127.0.0.1/tcp/0'] }
  settings.dial = { ...settings.dial, allowPrivate: false }
  const names = { ...rebinding(), addresses: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]) }
  const origins = [
    `/ip4/127.0.0.1/tcp/${port}/p2p/${PEER}`,
    `/ip6/::ffff:127.0.0.1/tcp/${port}/p2p/${PEER}`,
    `/dns4/innocent.example/tcp/${port}/p2p/${PEER}`,
  ]
  for (const lookup of [names, rebinding()]) {
    await using peer = await openPeer({ reader: store.blocks, settings, log: silentLog, names: lookup })
    await assert.rejects(
      async () => await Array.fromAsync(retrieve(peer, rawCid('secret'), { origins })),
      (error) => hasCode(error, 'NOT_FOUND') && /of 3 origins 0 could be reached/.test(error.message),
    )
  }
  assert.equal(connections(), 0)

  await using permissive = await openTestPeer()
  await assert.rejects(async () => await Array.fromAsync(retrieve(permissive.peer, rawCid('secret'), { origins })))
  assert.ok(connections() > 0, 'where private addresses are allowed the same origin is dialled')
})

test('a chain of dnsaddr records ends after two steps', async () => {
  let queries = 0
  const { dnsaddr } = nameResolvers({
    addresses: () => Promise.resolve([]),
    texts: (name) => {
      queries += 1
      const next = name.replace('_dnsaddr.', '')
      return Promise.resolve([
        `dnsaddr=/dnsaddr/a.${next}`,
        `dnsaddr=/ip4/8.8.8.8/tcp/1/p2p/${PEER}`,
        'v=spf1',
        'dnsaddr=x',
      ])
    },
  })
  const found = await dnsaddr?.resolve(multiaddr('/dnsaddr/example.org'), {} as never)
  assert.deepEqual(found?.map(String), Array(2).fill(`/ip4/8.8.8.8/tcp/1/p2p/${PEER}`))
  assert.equal(queries, 2)
})

test('a bootstrap peer that goes away is dialled again when it is back', { timeout: 60_000 }, async () => {
  const settings = loopbackSettings()
  const first = await openTestPeer(settings)
  const { address } = first
  await using ours = await openTestPeer(loopbackSettings([address]))
  await until('the first connection', () => ours.peer.libp2p.getPeers().length === 1)
  await first[Symbol.asyncDispose]()
  await until('the loss', () => ours.peer.libp2p.getPeers().length === 0)
  const [listen = ''] = address.split('/p2p/')
  await using back = await openTestPeer({ ...settings, listen: [listen] })
  await until('the second connection', () => ours.peer.libp2p.getConnections(back.peer.id).length === 1)
})
