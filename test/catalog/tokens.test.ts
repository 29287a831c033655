import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { announceRevocation, createAuthenticator } from '../../services/catalog/authenticator.ts'
import { openDatabase } from '../../services/catalog/database.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { isMistyped, makeToken } from '../../services/catalog/token-text.ts'
import { authenticate, createToken, listTokens, revokeToken } from '../../services/catalog/tokens.ts'
import { openWakes } from '../../services/catalog/wake.ts'
import { SCOPES } from '../../services/core/scopes.ts'
import { eventually } from '../support/eventually.ts'
import { freshDatabase } from '../support/postgres.ts'

test('tokens have one form, and a changed character is noticed without the database', () => {
  const token = makeToken()
  assert.match(token, /^hf_[0-9A-Za-z]{49}$/)
  assert.equal(isMistyped(token), false)
  assert.equal(isMistyped('a token that an operator chose'), false)
  fc.assert(
    fc.property(fc.nat({ max: token.length - 4 }), fc.constantFrom('0', '7', 'a', 'b', 'Y', 'Z'), (at, digit) => {
      const index = at + 3
      fc.pre(token[index] !== digit)
      assert.equal(isMistyped(`${token.slice(0, index)}${digit}${token.slice(index + 1)}`), true)
    }),
  )
})

test('a token speaks for its tenant with its scopes until it is revoked', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'alice')
  const { id, token } = await createToken(db, tenantId, { name: 'laptop', scopes: ['pins:read'] })
  assert.deepEqual(await authenticate(db, token), { tenantId, tokenId: id, scopes: ['pins:read'] })
  assert.equal(await authenticate(db, makeToken()), undefined)
  assert.equal(await revokeToken(db, tenantId, id), true)
  assert.equal(await authenticate(db, token), undefined)
  assert.equal(await revokeToken(db, tenantId, id), true)
})

test('a token ends when it expires, by the clock of the database', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'alice')
  const make = (expiresAt: string) => createToken(db, tenantId, { name: 'ci', scopes: ['pins:read'], expiresAt })
  assert.equal(await authenticate(db, (await make('2001-01-01T00:00:00Z')).token), undefined)
  assert.notEqual(await authenticate(db, (await make('2101-01-01T00:00:00Z')).token), undefined)
})

test('the database never has the text of a token, and a list shows only its end', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'alice')
  const { id, token } = await createToken(db, tenantId, { name: 'laptop', scopes: ['pins:read'] })
  const [listed] = await listTokens(db, tenantId)
  assert.equal(listed?.id, id)
  assert.equal(listed?.hint, `hf_…${token.slice(-4)}`)
  const [row] = await db.query<{ text: string }>('select api_token::text as text from api_token')
  assert.equal(row?.text.includes(token.slice(3, 20)), false)
})

test("another tenant's token can be neither seen nor revoked", async () => {
  await using db = await freshDatabase()
  const alice = await ensureTenant(db, 'alice')
  const bob = await ensureTenant(db, 'bob')
  const { id, token } = await createToken(db, alice, { name: 'laptop', scopes: ['pins:read'] })
  assert.deepEqual(await listTokens(db, bob), [])
  assert.equal(await revokeToken(db, bob, id), false)
  assert.equal(await revokeToken(db, bob, 'not an id'), false)
  assert.notEqual(await authenticate(db, token), undefined)
})

test('use is noted once in ten minutes', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'alice')
  const { token } = await createToken(db, tenantId, { name: 'laptop', scopes: ['pins:read'] })
  const lastUsed = async () => (await listTokens(db, tenantId))[0]?.lastUsedAt
  assert.equal(await lastUsed(), null)
  await authenticate(db, token)
  const first = await lastUsed()
  await authenticate(db, token)
  assert.equal(await lastUsed(), first)
  await db.run(`update api_token set last_used_at = now() - interval '11 minutes'`)
  await authenticate(db, token)
  assert.ok(((await lastUsed()) ?? '') > (first ?? ''))
})

test('a revoked token is refused within a second by every process, also when the hint is lost', async () => {
  await using db = await freshDatabase()
  await using other = openDatabase(db.url)
  await using wakes = openWakes(db)
  await using deaf = { announce() {}, on: () => () => undefined, async [Symbol.asyncDispose]() {} }
  const tenantId = await ensureTenant(db, 'alice')
  const { id, token } = await createToken(db, tenantId, { name: 'laptop', scopes: ['pins:read'] })
  const here = createAuthenticator(db, wakes)
  const there = createAuthenticator(other, deaf)
  assert.notEqual(await here.authenticate(token), undefined)
  assert.notEqual(await there.authenticate(token), undefined)

  await revokeToken(db, tenantId, id)
  announceRevocation(wakes)
  assert.equal(await here.authenticate(token), undefined, 'at once in the process that revoked it')
  const refused = async () => (await there.authenticate(token)) === undefined
  await eventually('the other process refuses it', refused, { withinMs: 1_000 })
})

test('a hint of a revocation reaches another process before its memory runs out', async () => {
  await using db = await freshDatabase()
  await using other = openDatabase(db.url)
  await using wakes = openWakes(db)
  await using otherWakes = openWakes(other)
  const heard = new Promise<string | undefined>((resolve) => otherWakes.on('probe', resolve))
  await eventually('the other process listens', async () => {
    wakes.announce('probe', 'one')
    return Promise.race([heard.then(() => true), new Promise<false>((resolve) => setTimeout(resolve, 30, false))])
  })
  const cleared = new Promise<void>((resolve) => otherWakes.on('tokens', () => resolve()))
  announceRevocation(wakes)
  await cleared
})

test('the token that the configuration names opens everything, and the one before it nothing', async () => {
  await using db = await freshDatabase()
  const first = await ensureTenant(db, 'main', 'chosen by an operator')
  assert.equal(await ensureTenant(db, 'main', 'chosen by an operator'), first)
  assert.deepEqual((await authenticate(db, 'chosen by an operator'))?.scopes, SCOPES)
  await ensureTenant(db, 'main', 'another')
  assert.equal(await authenticate(db, 'chosen by an operator'), undefined)
  const caller = await authenticate(db, 'another')
  assert.equal(caller?.tenantId, first)
  await revokeToken(db, first, caller?.tokenId ?? '')
  await ensureTenant(db, 'main', 'another')
  assert.notEqual(await authenticate(db, 'another'), undefined)
})
