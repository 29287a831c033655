import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { configurationPage } from '../../services/runtime/configuration-page.ts'
import { loadConfig } from '../../services/runtime/config.ts'

test('every setting has the default of the documented interface', () => {
  const config = loadConfig({})
  assert.equal(config.HOLDFAST_DATA, './.holdfast')
  assert.equal(config.HOLDFAST_API_PORT, 4100)
  assert.equal(config.HOLDFAST_GATEWAY_PORT, 4180)
  assert.equal(config.HOLDFAST_SWARM_PORT, 4190)
  assert.equal(config.HOLDFAST_NODES, 3)
  assert.equal(config.DATABASE_URL, undefined)
  assert.equal(config.HOLDFAST_NOFETCH, true)
})

test('texts become what they mean', () => {
  const config = loadConfig({
    HOLDFAST_GRACE: '90s',
    HOLDFAST_CAPACITY: '2GiB',
    HOLDFAST_NODE_LABELS: 'region=frankfurt,provider=hetzner',
    HOLDFAST_ROLES: 'node',
    HOLDFAST_BOOTSTRAP: '/ip4/127.0.0.1/tcp/1/p2p/a, /ip4/127.0.0.1/tcp/2/p2p/b',
  })
  assert.equal(config.HOLDFAST_GRACE, 90_000)
  assert.equal(config.HOLDFAST_CAPACITY, 2 * 1024 ** 3)
  assert.deepEqual(config.HOLDFAST_NODE_LABELS, { region: 'frankfurt', provider: 'hetzner' })
  assert.deepEqual(config.HOLDFAST_ROLES, ['node'])
  assert.equal(config.HOLDFAST_BOOTSTRAP.length, 2)
})

test('a value that cannot be read is one sentence that names the setting', () => {
  for (const [name, value] of [
    ['HOLDFAST_API_PORT', 'http'],
    ['HOLDFAST_API_PORT', '70000'],
    ['HOLDFAST_NODES', '0'],
    ['HOLDFAST_GRACE', 'soon'],
    ['HOLDFAST_CONTROL_URL', 'control:4100'],
    ['HOLDFAST_NODE_LABELS', 'provider=hetzner'],
    ['HOLDFAST_ROLES', 'node,queen'],
    ['HOLDFAST_NOFETCH', 'maybe'],
  ] as const) {
    assert.throws(() => loadConfig({ [name]: value }), { code: 'CONFIG', message: new RegExp(`^${name} must be `) })
  }
})

test('a setting that does not exist is refused with the nearest name', () => {
  assert.throws(() => loadConfig({ HOLDFAST_GATEWAY_PROT: '1' }), { code: 'CONFIG', message: /HOLDFAST_GATEWAY_PORT/ })
})

test('docs/configuration.md is what the table prints', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8')
  assert.equal(page, configurationPage(), 'run: npm run docs')
})
