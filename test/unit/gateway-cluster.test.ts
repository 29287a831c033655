import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { pino } from 'pino'
import { RAW } from '../../services/core/cid.ts'
import { findHolders } from '../../services/gateway/holders.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { lying, Nodes, storeFile, type TestNode } from '../transfer/nodes.ts'
import { cidOf, pseudoRandomBytes } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const FILE = pseudoRandomBytes(7, 5_000_000)

let nodes: Nodes
let holder: TestNode
let gateway: Gateway
let up: string[]

before(async () => {
  nodes = await Nodes.open()
  const reader = await nodes.add('reader')
  holder = await nodes.add('holder')
  await nodes.add('liar', {
    serves: (store) => lying(store, { has: () => true, get: () => Promise.resolve(Buffer.from('not that block')) }),
  })
  up = ['liar', 'holder']
  const log = pino({ level: 'silent' })
  const holders = findHolders({ client: reader.client, nodes: () => up, log })
  gateway = nodes.use(await openGateway(reader.store, { holders, settings: { cacheBytes: 0 } }))
})
after(() => nodes[Symbol.asyncDispose]())

suite('a gateway of a node that holds nothing', () => {
  test('serves what another node holds, and none of what a lying one sends', async () => {
    const { cid } = await storeFile(holder.store, FILE)
    const whole = await ask(gateway.url, `/ipfs/${cid.toString()}`)
    assert.equal(whole.status, 200)
    assert.ok(whole.complete)
    assert.deepEqual(whole.body, Buffer.from(FILE))
    const range = await ask(gateway.url, `/ipfs/${cid.toString()}`, { headers: { range: 'bytes=2000000-2000009' } })
    assert.deepEqual(range.body, Buffer.from(FILE.subarray(2_000_000, 2_000_010)))
  })

  test('answers 404 for what nobody holds, though one says so', async () => {
    const cid = cidOf(RAW, Buffer.from('held by nobody'))
    const { status } = await ask(gateway.url, `/ipfs/${cid.toString()}`)
    assert.equal(status, 404)
  })

  test('does not ask others for what shall come from its own disk', async () => {
    const { cid } = await storeFile(holder.store, Buffer.from('elsewhere'))
    const headers = { 'cache-control': 'only-if-cached' }
    assert.equal((await ask(gateway.url, `/ipfs/${cid.toString()}`, { headers })).status, 412)
    assert.equal((await ask(gateway.url, `/ipfs/${cid.toString()}`)).status, 200)
  })

  test('answers 404 when the only holder is down', async () => {
    const { cid } = await storeFile(holder.store, Buffer.from('soon out of reach'))
    up = ['liar']
    assert.equal((await ask(gateway.url, `/ipfs/${cid.toString()}`)).status, 404)
    up = ['liar', 'holder']
    await until('the content again', async () => (await ask(gateway.url, `/ipfs/${cid.toString()}`)).status === 200)
  })
})
