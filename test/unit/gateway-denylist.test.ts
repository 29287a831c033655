import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { Registry } from 'prom-client'
import { gatewayMetrics } from '../../services/gateway/metrics.ts'
import { NO_NAMES, type Names } from '../../services/gateway/names.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'
import { TestRules } from '../support/rules.ts'

const rules = new TestRules()
const registry = new Registry()
const blocks = new MemoryBlocks()
const denied = blocks.addRaw(Buffer.from('denied content'))
const inner = blocks.addDirectory([['bad', denied]])
/** DAG-PB, so that it has a CID of version 0 too. */
const dir = blocks.addDirectory([
  ['good', blocks.addRaw(Buffer.from('good content'))],
  ['sub', inner],
])
const large = blocks.addFileNode([blocks.addRaw(Buffer.alloc(1_000_000, 1)), denied], [1_000_000, 14])

const names: Names = {
  ...NO_NAMES,
  resolve: () => Promise.resolve({ root: dir, segments: [], maxAgeMs: 60_000 }),
}

let gateway: Gateway
before(async () => {
  const routing = { providers: () => Promise.resolve([]), peers: () => Promise.resolve([]) }
  gateway = await openGateway(blocks, { rules, names, routing, metrics: gatewayMetrics(registry) })
})
after(() => gateway.close())
beforeEach(() => rules.deny(`/ipfs/${denied.toString()}`))

async function status(path: string, headers: Record<string, string> = {}): Promise<number> {
  return (await ask(gateway.url, path, { headers })).status
}

const FORMATS = ['', '?format=raw', '?format=car', '?download=true', '?filename=x.html']

test('denied content is 410 in every base, under every codec, in every format', async () => {
  const forms = [
    denied.toString(),
    denied.toString(base36),
    denied.toString(base58btc),
    denied.toString().toUpperCase(),
    CID.createV1(0x70, denied.multihash).toString(),
    CID.createV0(denied.multihash as never).toString(),
  ]
  for (const form of forms) {
    for (const format of FORMATS) assert.equal(await status(`/ipfs/${form}${format}`), 410, form + format)
  }
})

test('denied content is 410 by every path that leads to it, however it is written', async () => {
  for (const path of [
    `/ipfs/${dir.toString()}/sub/bad`,
    `/ipfs/${dir.toString()}/sub/./bad`,
    `/ipfs/${dir.toString()}//sub//bad`,
    `/ipfs/${dir.toString()}/%73ub/%62ad`,
    `/ipfs/${CID.createV0(dir.multihash as never).toString()}/sub/bad`,
    '/ipns/some.example/sub/bad',
  ]) {
    for (const format of FORMATS) assert.equal(await status(path + format), 410, path + format)
  }
  assert.equal(await status(`/ipfs/${dir.toString()}/good`), 200)
})

test('a condition that holds opens nothing', async () => {
  assert.equal(await status(`/ipfs/${denied.toString()}`, { 'if-none-match': `"${denied.toString()}"` }), 410)
  assert.equal(await status(`/ipfs/${denied.toString()}`, { 'cache-control': 'only-if-cached' }), 410)
  assert.equal(await status(`/ipfs/${denied.toString()}`, { range: 'bytes=0-0' }), 410)
})

test('HEAD says the same as GET', async () => {
  const answer = await ask(gateway.url, `/ipfs/${dir.toString()}/sub/bad`, { method: 'HEAD' })
  assert.equal(answer.status, 410)
})

test('a CAR, a TAR or a file that meets a denied block is never whole', async () => {
  for (const path of [
    `/ipfs/${dir.toString()}?format=car`,
    `/ipfs/${inner.toString()}?format=car`,
    `/ipfs/${dir.toString()}?format=tar`,
    `/ipfs/${large.toString()}`,
  ]) {
    const answer = await ask(gateway.url, path)
    assert.ok(answer.status === 410 || !answer.complete, `${path}: ${answer.status}`)
    assert.ok(!answer.body.includes('denied content'), path)
  }
  assert.equal((await ask(gateway.url, `/ipfs/${dir.toString()}?format=car&dag-scope=block`)).complete, true)
})

test('names are denied before they are followed, and content behind a name by its CID', async () => {
  rules.deny('/ipns/bad.example\n/ipns/part.example/sub*')
  assert.equal(await status('/ipns/bad.example'), 410)
  assert.equal(await status('/ipns/BAD.example/good'), 410)
  assert.equal(await status('/ipns/other.example/good'), 200)
  assert.equal(await status('/ipns/part.example/good'), 200)
  assert.equal(await status('/ipns/part.example/sub/bad'), 410)
  rules.deny(`/ipfs/${dir.toString()}`)
  assert.equal(await status('/ipns/other.example/good'), 410)
})

test('the delegated router says nothing of what is denied, however it is written', async () => {
  const key = 'k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf'
  rules.deny(`/ipfs/${denied.toString()}\n/ipns/${key}`)
  for (const path of [
    `/routing/v1/providers/${denied.toString()}`,
    `/routing/v1/providers/%62${denied.toString().slice(1)}`,
    `/routing/v1/ipns/${key}`,
  ]) {
    assert.equal(await status(path), 410, path)
  }
  assert.equal(await status(`/routing/v1/providers/${dir.toString()}`), 200)
})

test('double hashes of both forms deny', async () => {
  const modern = createHash('sha256').update(base58btc.baseEncode(denied.multihash.bytes)).digest()
  const multihash = Buffer.concat([Buffer.from([0x12, 32]), modern])
  rules.deny(`//${base58btc.baseEncode(multihash)}`)
  assert.equal(await status(`/ipfs/${denied.toString()}`), 410)
  rules.deny(`//${createHash('sha256').update(`${dir.toString()}/sub/bad`).digest('hex')}`)
  assert.equal(await status(`/ipfs/${dir.toString()}/sub/bad`), 410)
  assert.equal(await status(`/ipfs/${dir.toString()}/sub/`), 200)
  assert.equal(await status(`/ipfs/${denied.toString()}`), 200)
})

test('451 when the list says so, and caches keep it for a minute', async () => {
  rules.deny(`/ipfs/${denied.toString()} gateway_status=451`)
  const answer = await ask(gateway.url, `/ipfs/${denied.toString()}`, { headers: { accept: 'application/json' } })
  assert.equal(answer.status, 451)
  assert.equal(answer.headers['cache-control'], 'public, max-age=60')
  assert.match(answer.body.toString(), /CONTENT_DENIED_BY_LAW/)
})

test('a rule counts with the next request, and so does its end', async () => {
  rules.deny('')
  assert.equal(await status(`/ipfs/${dir.toString()}/sub/bad`), 200)
  rules.deny(`/ipfs/${denied.toString()}`)
  assert.equal(await status(`/ipfs/${dir.toString()}/sub/bad`), 410)
  rules.deny('')
  assert.equal(await status(`/ipfs/${dir.toString()}/sub/bad`), 200)
})

test('metrics count by status, format, level and list', async () => {
  registry.resetMetrics()
  await status(`/ipfs/${denied.toString()}`)
  rules.deny('')
  const served = await ask(gateway.url, `/ipfs/${dir.toString()}/good?format=raw`)
  assert.match(String(served.headers['server-timing']), /^first-byte;dur=\d+\.\d$/)
  const text = await registry.metrics()
  for (const line of [
    'ipfs_http_gw_responses_total{code="410"} 1',
    'ipfs_http_gw_responses_total{code="200"} 1',
    'ipfs_http_gw_concurrent_requests 0',
    'holdfast_gateway_requests_total{status="200",format="raw",host_class="path"} 1',
    'holdfast_gateway_denied_total{list="test",status="410"} 1',
    'holdfast_gateway_first_byte_seconds_count{host_class="path"} 2',
  ]) {
    assert.ok(text.includes(line), `${line}\n${text}`)
  }
  assert.match(text, /holdfast_gateway_blocks_total\{level="(memory|store)"\} \d/)
})
