import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasCode } from '../../services/core/errors.ts'
import { Budgets } from '../../services/gateway/budgets.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway } from '../support/gateway.ts'

const UNLIMITED = {
  addressRequestsPerSecond: Number.POSITIVE_INFINITY,
  addressBytesPerSecond: Number.POSITIVE_INFINITY,
  hostBytesPerSecond: Number.POSITIVE_INFINITY,
  tenantBytesPerSecond: Number.POSITIVE_INFINITY,
  burstSeconds: 1,
}

/** How long the payer has to wait; 0 when it is let in. */
function wait(budgets: Budgets, payer: Parameters<Budgets['admit']>[0]): number {
  try {
    budgets.admit(payer)
    return 0
  } catch (error) {
    assert.ok(hasCode(error, 'TOO_MANY_REQUESTS'))
    return error.retryAfterSeconds ?? Number.NaN
  }
}

test('requests pass at their rate, after a burst, and each address has its own', () => {
  let now = 1_000_000
  const budgets = new Budgets({ ...UNLIMITED, addressRequestsPerSecond: 10, burstSeconds: 2 }, () => now)
  const one = { address: '192.0.2.1', host: 'a' }
  let passed = 0
  while (wait(budgets, one) === 0) passed += 1
  assert.equal(passed, 21)
  assert.equal(wait(budgets, { address: '192.0.2.2', host: 'a' }), 0)
  now += 1_000
  passed = 0
  while (wait(budgets, one) === 0) passed += 1
  assert.equal(passed, 10)
})

test('an answer is charged when it has ended, and its debt is waited for', () => {
  let now = 5_000
  const budgets = new Budgets({ ...UNLIMITED, addressBytesPerSecond: 1_000 }, () => now)
  const payer = { address: '192.0.2.1', host: 'a' }
  assert.equal(wait(budgets, payer), 0)
  budgets.charge(payer, 61_000)
  assert.equal(wait(budgets, payer), 60)
  now += 60_000
  assert.equal(wait(budgets, payer), 0)
})

test('hosts and tenants have budgets of their own', () => {
  const budgets = new Budgets({ ...UNLIMITED, hostBytesPerSecond: 100, tenantBytesPerSecond: 100 }, () => 0)
  budgets.charge({ address: undefined, host: 'busy', tenant: 1 }, 1_000)
  assert.ok(wait(budgets, { address: undefined, host: 'busy' }) > 0)
  assert.equal(wait(budgets, { address: undefined, host: 'other' }), 0)
  assert.ok(wait(budgets, { address: undefined, host: 'other', tenant: 1 }) > 0)
  assert.equal(wait(budgets, { address: undefined, host: 'other', tenant: 2 }), 0)
})

test('addresses of one IPv6 network are one', () => {
  const budgets = new Budgets({ ...UNLIMITED, addressBytesPerSecond: 1 }, () => 0)
  budgets.charge({ address: '2001:db8:1:2:3::1', host: undefined }, 100)
  assert.ok(wait(budgets, { address: '2001:db8:1:2:ffff::9', host: undefined }) > 0)
  assert.equal(wait(budgets, { address: '2001:db8:1:3::1', host: undefined }), 0)
})

test('a gateway answers 429 with Retry-After to the address that asks too much, and others go on', async () => {
  const blocks = new MemoryBlocks()
  const path = `/ipfs/${blocks.addRaw(Buffer.from('content')).toString()}`
  const gateway = await openGateway(blocks, { settings: { addressRequestsPerSecond: 0.001, burstSeconds: 1 } })
  try {
    const from = (address: string): Promise<{ status: number; headers: object }> =>
      ask(gateway.url, path, { headers: { 'x-forwarded-for': address } })
    assert.equal((await from('192.0.2.1')).status, 200)
    const refused = await from('192.0.2.1')
    assert.equal(refused.status, 429)
    assert.ok(Number(Object.fromEntries(Object.entries(refused.headers))['retry-after']) > 0)
    assert.equal((await from('192.0.2.2')).status, 200)
    assert.equal((await ask(gateway.url, path)).status, 200)
  } finally {
    await gateway.close()
  }
})
