import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { carFiles, dnsLinksSetting, recordFixtures } from '../support/gateway-fixtures.ts'
import { ask } from '../support/gateway.ts'
import { until } from '../support/until.ts'

/** What operators load by hand, on a whole cluster: CARs that nobody pins, records, and links of domains. */

const CLI = resolve(import.meta.dirname, '../../services/cli/main.ts')
const FILE = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'
const INCOMPLETE = 'QmYhmPjhFjYFyaoiuNzYv8WGavpSRDwdHWe5B4M5du5Rtk'
const NAME = '12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d'
const CANONICAL = 'k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam'

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start({ HOLDFAST_GRACE: '8s', HOLDFAST_DNSLINKS: await dnsLinksSetting() })
})
after(() => cluster[Symbol.asyncDispose]())

async function holdfast(...words: string[]): Promise<{ code: number; output: string }> {
  const { api, token } = cluster.ready
  const child = spawn(process.execPath, [CLI, ...words, '--url', api, '--token', token], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ])
  return { code, output: output + errors }
}

function carNamed(part: string): string {
  const file = carFiles().find((path) => path.includes(part))
  assert.ok(file)
  return file
}

function get(node: ReadyNode, path: string, headers: Record<string, string> = {}): ReturnType<typeof ask> {
  return ask(node.gateway, path, { headers })
}

test('CARs are imported on every node without a pin, whole or not, and go after the grace time', async () => {
  const cars = [carNamed('subdomain_gateway'), carNamed('missing-block')]
  const { code, output } = await holdfast('car', 'import', '--no-pin', ...cars)
  assert.equal(code, 0, output)
  const onlyIfCached = { 'cache-control': 'only-if-cached' }
  for (const node of cluster.ready.nodes) {
    assert.equal((await get(node, `/ipfs/${FILE}`, onlyIfCached)).status, 200, node.id)
    assert.equal((await get(node, `/ipfs/${INCOMPLETE}`, { ...onlyIfCached, range: 'bytes=0-9' })).status, 206)
  }
  const { count } = await cluster.json<{ count: number }>('/psa/pins?status=queued,pinning,pinned,failed')
  assert.equal(count, 0)
  // Routing tells what is on disk; a gateway may go on serving what it has in memory.
  await until(
    'the collection of what nobody wants',
    async () => {
      const { body } = await get(cluster.node(0), `/routing/v1/providers/${FILE}`)
      return body.toString() === '{"Providers":[]}'
    },
    60_000,
  )
})

test('an import names one node, says --no-pin, and needs a CAR', async () => {
  const node = cluster.node(1)
  const car = carNamed('gateway-raw-block')
  const root = 'bafybeie72edlprgtlwwctzljf6gkn2wnlrddqjbkxo3jomh4n7omwblxly'
  const { code, output } = await holdfast('car', 'import', '--no-pin', '--node', node.id, car)
  assert.equal(code, 0, output)
  const raw = `/ipfs/${root}?format=raw`
  assert.equal((await get(node, raw, { 'cache-control': 'only-if-cached' })).status, 200)
  assert.equal((await get(cluster.node(0), raw, { 'cache-control': 'only-if-cached' })).status, 412)
  assert.notEqual((await holdfast('car', 'import', car)).code, 0)
  assert.notEqual((await holdfast('car', 'import', '--no-pin', CLI)).code, 0)
  assert.notEqual((await holdfast('car', 'import', '--no-pin', '--node', 'nobody', car)).code, 0)
  const response = await cluster.api(`/v1/nodes/${node.id}:import`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.ipld.car', authorization: 'Bearer nonsense' },
    body: 'x',
  })
  assert.notEqual(response.status, 201)
})

test('a record that one node took is known to all, and leads to pinned content', async () => {
  await cluster.upload('hello\n')
  const record = (await recordFixtures()).find(({ name }) => name === NAME)
  assert.ok(record)
  const url = `${cluster.node(0).gateway}/routing/v1/ipns/${NAME}`
  const { status } = await fetch(url, { method: 'PUT', body: new Uint8Array(record.bytes) })
  assert.equal(status, 200)
  for (const node of cluster.ready.nodes) {
    assert.deepEqual((await get(node, `/routing/v1/ipns/${CANONICAL}`)).body, record.bytes, node.id)
    assert.equal((await get(node, `/ipns/${CANONICAL}`)).body.toString(), 'hello\n')
    const onDomain = await get(node, '/', { host: 'dnslink-over-ipns.example.org' })
    assert.equal(onDomain.body.toString(), 'hello\n')
  }
})

test('nodes name each other as providers of what they hold', async () => {
  const { cid, pin } = await cluster.upload('provided by all')
  await cluster.pinned(pin.requestid, 3)
  await until('all three as providers', async () => {
    const { body } = await get(cluster.node(2), `/routing/v1/providers/${cid}`)
    const { Providers: found } = JSON.parse(body.toString()) as { Providers: { ID: string }[] }
    return found.length === 3 && found[0]?.ID === cluster.node(2).peer
  })
})

test('names and content are served on while the control plane is away', async () => {
  process.kill(cluster.ready.control.pid, 'SIGKILL')
  await until('an API that does not answer', () =>
    fetch(cluster.ready.api).then(
      () => false,
      () => true,
    ),
  )
  for (const node of cluster.ready.nodes) {
    assert.equal((await get(node, `/ipns/${CANONICAL}`)).body.toString(), 'hello\n')
    const site = await get(node, '/', { host: `${FILE}.ipfs.localhost` })
    assert.equal(site.body.toString(), 'hello\n')
  }
})
