import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import type { AccessRule } from '../../services/core/access-rule.ts'
import { signUrl } from '../../services/core/signed-url.ts'
import { RestrictedBlocks } from '../../services/gateway/restricted-blocks.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ask, openGateway, type Answered } from '../support/gateway.ts'
import { TestRules } from '../support/rules.ts'
import { openTestStore, type TestStore } from '../support/test-store.ts'

const TENANT = 7
const rules = new TestRules()
const dag = new MemoryBlocks()
const child = dag.addRaw(Buffer.from('for members only'))
const shared = dag.addRaw(Buffer.from('also in a public directory'))
const root = dag.addDirectory([
  ['page.html', child],
  ['shared', shared],
])
const open = dag.addDirectory([['shared', shared]])

let store: TestStore
let restricted: RestrictedBlocks
let gateway: Gateway
before(async () => {
  store = await openTestStore()
  await store.put(dag.blocks())
  await store.commitRoot(root)
  await store.commitRoot(open)
  const log = pino({ level: 'silent' })
  const client = { manifest: () => Promise.resolve(undefined) }
  restricted = new RestrictedBlocks({ rules, store: store.blocks, client, nodes: () => [], log })
  gateway = await openGateway(store.blocks, { rules, restricted })
})
after(async () => {
  await gateway.close()
  await store[Symbol.asyncDispose]()
})

const token = `hf_${randomBytes(24).toString('hex')}`
const tokenHash = createHash('sha256').update(token).digest('hex')
const key = randomBytes(32)

async function restrict(rule: AccessRule, expiresMs: number | null = null): Promise<void> {
  rules.restrict(
    { root: root.toString(), allowedBy: [{ tenant: TENANT, rule }] },
    { token: tokenHash, tenant: TENANT, expiresMs },
  )
  await restricted.refresh(new AbortController().signal)
}

beforeEach(async () => {
  rules.keys.set(TENANT, [key])
  rules.clockMs = Date.UTC(2030, 0, 1)
  await restrict({ token: true })
})

function get(path: string, headers: Record<string, string> = {}): Promise<Answered> {
  return ask(gateway.url, path, { headers })
}

const PAGE = `/ipfs/${root.toString()}/page.html`
const bearer = { authorization: `Bearer ${token}` }

function signed(path: string, { prefix = path, secret = key, inSeconds = 60 } = {}): string {
  const expires = Date.UTC(2030, 0, 1) / 1_000 + inSeconds
  const more = prefix === path ? '' : `&hf-prefix=${encodeURIComponent(prefix)}`
  return `${path}?hf-exp=${expires}&hf-sig=${signUrl(secret, prefix, expires)}${more}`
}

test('a restricted root opens for the token of its tenant alone', async () => {
  const refused = await get(PAGE)
  assert.equal(refused.status, 401)
  assert.equal(refused.headers['www-authenticate'], 'Bearer')
  assert.equal(refused.headers['cache-control'], 'no-store')
  assert.equal((await get(PAGE, { authorization: 'Bearer hf_wrong' })).status, 403)
  assert.equal((await get(PAGE, bearer)).body.toString(), 'for members only')
  rules.restrict(
    { root: root.toString(), allowedBy: [{ tenant: TENANT, rule: { token: true } }] },
    { token: tokenHash, tenant: TENANT + 1, expiresMs: null },
  )
  assert.equal((await get(PAGE, bearer)).status, 403)
})

test('an expired token is none, by the time of the cluster', async () => {
  await restrict({ token: true }, Date.UTC(2030, 0, 1) - 1)
  assert.equal((await get(PAGE, bearer)).status, 403)
  await restrict({ token: true }, Date.UTC(2030, 0, 1) + 1)
  assert.equal((await get(PAGE, bearer)).status, 200)
})

test('what is not for everybody is never for shared caches', async () => {
  for (const path of [PAGE, `/ipfs/${root.toString()}/`, `${PAGE}?format=raw`, `/ipfs/${root.toString()}?format=car`]) {
    const answer = await get(path, bearer)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['cache-control'], 'private, no-cache', path)
    assert.match(String(answer.headers.vary), /Authorization/)
  }
  const again = await get(`/ipfs/${root.toString()}/page.html`, { ...bearer, 'if-none-match': `"${child.toString()}"` })
  assert.deepEqual([again.status, again.headers['cache-control']], [304, 'private, no-cache'])
})

test('a condition that holds opens nothing', async () => {
  assert.equal((await get(PAGE, { 'if-none-match': `"${child.toString()}"` })).status, 401)
  assert.equal((await get(`/ipfs/${root.toString()}`, { 'if-none-match': '*' })).status, 401)
})

test("a child's own CID is no way around the rules, and opens with the same token", async () => {
  for (const format of ['', '?format=raw', '?format=car']) {
    assert.equal((await get(`/ipfs/${child.toString()}${format}`)).status, 401)
    const admitted = await get(`/ipfs/${child.toString()}${format}`, bearer)
    assert.equal(admitted.status, 200)
    assert.equal(admitted.headers['cache-control'], 'private, no-cache')
  }
})

test('a block that public content has too is for everybody', async () => {
  assert.equal((await get(`/ipfs/${shared.toString()}`)).status, 200)
  assert.equal((await get(`/ipfs/${open.toString()}/shared`)).status, 200)
  assert.equal((await get(`/ipfs/${root.toString()}/shared`)).status, 401)
})

test('a signed URL opens its path and what is below it, until it expires', async () => {
  await restrict({ signedUrl: true })
  assert.equal((await get(signed(PAGE))).status, 200)
  assert.equal((await get(signed(PAGE, { prefix: `/ipfs/${root.toString()}` }))).status, 200)
  assert.equal((await get(signed(`/ipfs/${root.toString()}/shared`, { prefix: PAGE }))).status, 403)
  assert.equal((await get(signed(PAGE, { prefix: `/ipfs/${root.toString()}/page` }))).status, 403)
  assert.equal((await get(signed(PAGE, { inSeconds: 0 }))).status, 403)
  assert.equal((await get(signed(PAGE, { secret: randomBytes(32) }))).status, 403)
  assert.equal((await get(`${signed(PAGE)}&hf-prefix=${encodeURIComponent('/ipfs')}`)).status, 403)
})

test("a URL that is signed for a root opens the root's children by their own CIDs", async () => {
  await restrict({ signedUrl: true })
  const url = signed(`/ipfs/${child.toString()}`, { prefix: `/ipfs/${root.toString()}` })
  assert.equal((await get(url)).status, 200)
})

test('both keys count while one takes over from the other', async () => {
  await restrict({ signedUrl: true })
  const next = randomBytes(32)
  rules.keys.set(TENANT, [key, next])
  assert.equal((await get(signed(PAGE))).status, 200)
  assert.equal((await get(signed(PAGE, { secret: next }))).status, 200)
  rules.keys.set(TENANT, [next])
  assert.equal((await get(signed(PAGE))).status, 403)
})

test('while the time is not known, what expires is refused with 503', async () => {
  rules.clockMs = undefined
  await restrict({ anyOf: [{ signedUrl: true }, { token: true }] })
  const answer = await get(signed(PAGE))
  assert.equal(answer.status, 503)
  assert.equal(answer.headers['retry-after'], '5')
  await restrict({ token: true })
  assert.equal((await get(PAGE, bearer)).status, 200)
})

test('addresses, hosts and origins', async () => {
  await restrict({ addresses: ['10.1.0.0/16', '2001:db8::/32'] })
  assert.equal((await get(PAGE, { 'x-forwarded-for': '10.1.2.3' })).status, 200)
  assert.equal((await get(PAGE, { 'x-forwarded-for': '2001:db8::7' })).status, 200)
  assert.equal((await get(PAGE, { 'x-forwarded-for': '10.2.0.1' })).status, 403)
  assert.equal((await get(PAGE, { 'x-forwarded-for': '10.1.2.3, 8.8.8.8' })).status, 403)
  await restrict({ hosts: ['files.example', '*.app.example'] })
  assert.equal((await get(PAGE, { host: 'files.example' })).status, 200)
  assert.equal((await get(PAGE, { host: 'FILES.example:8080' })).status, 200)
  assert.equal((await get(PAGE, { host: 'a.app.example' })).status, 200)
  assert.equal((await get(PAGE, { host: 'evilapp.example' })).status, 403)
  await restrict({ origins: ['https://app.example'] })
  assert.equal((await get(PAGE, { origin: 'https://app.example' })).status, 200)
  assert.equal((await get(PAGE, { referer: 'https://app.example/page?x' })).status, 200)
  assert.equal((await get(PAGE, { referer: 'https://app.example.evil/' })).status, 403)
  assert.equal((await get(PAGE, { origin: 'http://app.example' })).status, 403)
  assert.equal((await get(PAGE)).status, 403)
})

test('rules are combined with AND and OR', async () => {
  const office: AccessRule = { addresses: ['10.1.0.0/16'] }
  await restrict({ anyOf: [{ allOf: [{ token: true }, office] }, { signedUrl: true }] })
  assert.equal((await get(PAGE, bearer)).status, 403)
  assert.equal((await get(PAGE, { 'x-forwarded-for': '10.1.2.3' })).status, 401)
  assert.equal((await get(PAGE, { ...bearer, 'x-forwarded-for': '10.1.2.3' })).status, 200)
  assert.equal((await get(signed(PAGE))).status, 200)
})

test('when the restriction ends, root and children are for everybody', async () => {
  rules.restrict()
  assert.equal((await get(PAGE)).status, 200)
  assert.equal((await get(`/ipfs/${child.toString()}`)).status, 200)
  assert.match(String((await get(PAGE)).headers['cache-control']), /^public/)
})

test('a node that does not hold the root learns its blocks from one that does', async () => {
  await using empty = await openTestStore()
  const entries = [...store.blocks.manifest(root)]
  const client = {
    // Nodes give out pages of their own length.
    manifest: (_node: string, _root: unknown, { from = 0 } = {}) =>
      Promise.resolve({ blocks: entries.length, bytes: 0, entries: entries.slice(from, from + 1) }),
  }
  const log = pino({ level: 'silent' })
  const edge = new RestrictedBlocks({ rules, store: empty.blocks, client, nodes: () => ['holder'], log })
  await edge.refresh(new AbortController().signal)
  for (const { cid } of entries) assert.deepEqual(edge.rootsOf(cid), [root.toString()])
  assert.deepEqual(edge.rootsOf(open), [])
})
