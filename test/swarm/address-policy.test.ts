import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { refusalOf, type DialPolicy } from '../../services/swarm/address-policy.ts'
import { readOrigins } from '../../services/swarm/origins.ts'

const PEER = '12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust'
const OTHER_PEER = '12D3KooWGC6TvWhfajpX6wvJHMYvKpDMXPb3ZnCZ8dMoQ1kp6aYn'

const open: DialPolicy = {
  allowPrivate: false,
  deniedPorts: new Set(),
  deniedHosts: new Set(['51.15.0.7']),
  trusted: new Set(['/ip4/10.1.0.4/tcp/4190']),
}
const local: DialPolicy = { ...open, allowPrivate: true, deniedPorts: new Set([5432, 4100]) }

/** Address, whether the public policy lets it be dialled, whether that of a cluster on one machine does. */
const TABLE: [address: string, isPublic: boolean, isLocal: boolean][] = [
  ['/ip4/8.8.8.8/tcp/4001', true, true],
  [`/ip4/8.8.8.8/tcp/4001/p2p/${PEER}`, true, true],
  ['/ip6/2606:4700::1/tcp/4001', true, true],
  ['/ip4/127.0.0.1/tcp/4001', false, true],
  ['/ip4/127.9.9.9/tcp/4001', false, true],
  ['/ip4/127.0.0.1/tcp/5432', false, false],
  ['/ip4/10.0.0.1/tcp/5432', false, false],
  ['/ip4/10.0.0.1/tcp/4001', false, true],
  ['/ip4/10.1.0.4/tcp/4190', true, true],
  [`/ip4/10.1.0.4/tcp/4190/p2p/${PEER}`, true, true],
  ['/ip4/172.16.0.1/tcp/4001', false, true],
  ['/ip4/172.32.0.1/tcp/4001', true, true],
  ['/ip4/192.168.1.1/tcp/4001', false, true],
  ['/ip4/100.64.0.1/tcp/4001', false, true],
  ['/ip4/198.18.0.1/tcp/4001', false, true],
  ['/ip6/::1/tcp/4001', false, true],
  ['/ip6/::1/tcp/5432', false, false],
  ['/ip6/fd12::1/tcp/4001', false, true],
  ['/ip6/::ffff:127.0.0.1/tcp/4001', false, true],
  ['/ip6/::ffff:127.0.0.1/tcp/5432', false, false],
  ['/ip6/64:ff9b::7f00:1/tcp/4001', false, true],
  ['/ip4/0.0.0.0/tcp/4001', false, false],
  ['/ip6/::/tcp/4001', false, false],
  ['/ip4/169.254.169.254/tcp/80', false, false],
  ['/ip6/::ffff:169.254.169.254/tcp/80', false, false],
  ['/ip6/fe80::1/tcp/4001', false, false],
  ['/ip6/fd00:ec2::254/tcp/80', false, false],
  ['/ip4/100.100.100.200/tcp/80', false, false],
  ['/ip4/168.63.129.16/tcp/80', false, false],
  ['/ip4/224.0.0.1/tcp/4001', false, false],
  ['/ip4/255.255.255.255/tcp/4001', false, false],
  ['/ip4/51.15.0.7/tcp/4001', false, false],
  ['/unix/%2fvar%2frun%2fdocker.sock', false, false],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/4001', false, false],
  ['/dns4/metadata.internal/tcp/80', false, false],
  ['/dnsaddr/bootstrap.libp2p.io', false, false],
  ['/ip4/8.8.8.8/udp/4001/quic-v1', false, false],
  ['/ip4/8.8.8.8/tcp/443/wss', false, false],
  [`/ip4/8.8.8.8/tcp/4001/p2p/${PEER}/p2p-circuit`, false, false],
]

for (const [address, isPublic, isLocal] of TABLE) {
  test(`${address} is ${isPublic ? '' : 'not '}dialled from the internet, ${isLocal ? '' : 'not '}on one machine`, () => {
    assert.equal(refusalOf(multiaddr(address), open) === undefined, isPublic)
    assert.equal(refusalOf(multiaddr(address), local) === undefined, isLocal)
  })
}

test('origins without a peer id are ignored with a reason, and those of one peer belong together', () => {
  const { origins, ignored } = readOrigins([
    `/ip4/8.8.8.8/tcp/4001/p2p/${PEER}`,
    '/ip4/8.8.4.4/tcp/4001',
    `/ip4/8.8.4.4/tcp/4001/p2p/${PEER}`,
    'nonsense',
    `/dnsaddr/example.org/p2p/${OTHER_PEER}`,
    `/ip4/1.2.3.4/tcp/1/p2p/${'x'.repeat(2_000)}`,
  ])
  assert.deepEqual(
    origins.map(({ peer, addresses }) => [peer.toString(), addresses.length]),
    [
      [PEER, 2],
      [OTHER_PEER, 1],
    ],
  )
  assert.deepEqual(
    ignored.map(({ reason }) => reason),
    ['it does not end in /p2p/ and a peer id', 'it is not a multiaddr', 'it is too long'],
  )
})
