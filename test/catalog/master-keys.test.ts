import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { masterKeyOf } from '../../services/catalog/master-key.ts'
import { readMasterKeys } from '../../services/catalog/master-key-setting.ts'
import { rememberUnwrapped } from '../../services/catalog/remembered-keys.ts'
import { rewrapTenantKeys, withTenantSeal } from '../../services/catalog/tenant-keys.ts'
import { vaultKey } from '../../services/catalog/vault-key.ts'
import { hasCode } from '../../services/core/errors.ts'
import { openTestApi } from '../support/api.ts'
import { CONTENT } from '../support/naming.ts'
import { startTransit } from '../support/transit.ts'
import { until } from '../support/until.ts'
import { failure } from '../support/web.ts'

const SECRET = Buffer.alloc(32, 5)

test('a key that Vault has wrapped opens for what it was wrapped for, and for nothing else', async () => {
  await using transit = await startTransit()
  const { token } = transit
  const key = vaultKey(transit.setting, { token: async () => token })
  const wrapped = await key.wrap(SECRET, 'tenant 1')
  assert.match(Buffer.from(wrapped).toString(), /^vault:v1:/)
  assert.deepEqual(await key.unwrap(wrapped, 'tenant 1'), SECRET)
  const fails = async (work: Promise<unknown>, sentence: RegExp): Promise<void> => {
    await assert.rejects(work, (error: Error) => hasCode(error, 'UNAVAILABLE') && sentence.test(error.message))
  }
  await fails(key.unwrap(wrapped, 'tenant 2'), /cannot open this key/)
  await fails(vaultKey(transit.setting, { token: async () => 'other' }).wrap(SECRET, 'x'), /refuses the token/)
  transit.status = 503
  await fails(key.unwrap(wrapped, 'tenant 1'), /answers 503/)
  transit.status = 302
  await fails(key.unwrap(wrapped, 'tenant 1'), /answers 302|does not answer/)
  const away = vaultKey('vault://127.0.0.1:1/transit/holdfast', { token: async () => token })
  await fails(away.wrap(SECRET, 'tenant 1'), /does not answer/)
  assert.notEqual(away.id, key.id)
  for (const text of ['vault://', 'vault://host/key', 'vault://user@host/transit/key']) {
    assert.throws(
      () => vaultKey(text, { token: async () => token }),
      (error) => hasCode(error, 'CONFIG'),
    )
  }
})

test('names are published with a master key in Vault; while it is away only what needs a key fails, and says so', async () => {
  await using transit = await startTransit()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-token-'))
  try {
    const file = join(folder, 'token')
    await writeFile(file, `${transit.token}\n`)
    await using api = await openTestApi({
      masters: await readMasterKeys(transit.setting, { vaultToken: `file:${file}` }),
    })
    await api.json('POST', '/v1/names', { body: { label: 'site', value: CONTENT } })
    for (let count = 0; count < 3; count++) await api.json('PUT', '/v1/names/site', { body: { value: CONTENT } })
    assert.deepEqual(
      transit.calls.map((url) => url.split('/').at(-2)),
      ['encrypt', 'decrypt'],
      'an unwrapped key is remembered',
    )
    transit.status = 503
    await api.json('PUT', '/v1/names/site', { body: { value: CONTENT } })
    const refused = await api.send('POST', '/v1/names', { body: { value: CONTENT }, token: api.otherToken })
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5'])
    assert.match((await failure(refused)).details, /key service .* answers 503/)
    assert.equal((await api.json<{ sequence: string }>('GET', '/v1/names/site')).sequence, '5')
    transit.status = 200
    // A token that was renewed is taken from the file.
    transit.token = 'hvs.second'
    await writeFile(file, 'hvs.second\n')
    await api.json('POST', '/v1/names', { body: { value: CONTENT }, token: api.otherToken })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('keys move from a master key in memory to Vault and back; one that cannot be opened holds up no other', async () => {
  await using transit = await startTransit()
  await using api = await openTestApi()
  const [vault] = await readMasterKeys(transit.setting, { vaultToken: transit.token })
  const [own, lost] = [masterKeyOf(Buffer.alloc(32, 1)), masterKeyOf(Buffer.alloc(32, 2))]
  const tenants = await api.db.query<{ id: number }>('select id from tenant order by id')
  const [first, second] = tenants.map(({ id }) => id)
  assert.ok(first !== undefined && second !== undefined)
  await withTenantSeal(api.db, [lost], first, () => {})
  const sealed = await withTenantSeal(api.db, [own], second, (seal) => seal.close(SECRET, 'x'))
  await assert.rejects(rewrapTenantKeys(api.db, [vault, own]), (error) => hasCode(error, 'UNAVAILABLE'))
  const opened = (masters: readonly [typeof vault]): Promise<Buffer> =>
    withTenantSeal(api.db, masters, second, (seal) => seal.open(sealed, 'x'))
  assert.deepEqual(await opened([vault]), SECRET)
  assert.equal(await rewrapTenantKeys(api.db, [vault, lost]), 1)
  assert.equal(await rewrapTenantKeys(api.db, [own, vault]), 2)
  assert.deepEqual(await opened([own]), SECRET)
})

test('what was unwrapped is remembered for its time, shared by all who ask at once, and overwritten then', async () => {
  const inner = masterKeyOf(Buffer.alloc(32, 3))
  const given: Buffer[] = []
  let failing = true
  const master = {
    ...inner,
    async unwrap(wrapped: Uint8Array, about: string) {
      if (failing) throw new Error('away')
      const key = await inner.unwrap(wrapped, about)
      given.push(key)
      return key
    },
  }
  const remembering = rememberUnwrapped(master, { rememberedMs: 30, most: 1 })
  const wrapped = await remembering.wrap(SECRET, 'a')
  await assert.rejects(remembering.unwrap(wrapped, 'a'), /away/)
  failing = false
  const keys = await Promise.all([remembering.unwrap(wrapped, 'a'), remembering.unwrap(wrapped, 'a')])
  assert.equal(given.length, 1)
  for (const key of keys) {
    assert.deepEqual(key, SECRET)
    // As its user does; the next one gets the key all the same.
    key.fill(0)
  }
  await assert.rejects(remembering.unwrap(wrapped, 'b'), 'what it is for counts')
  await until('that it is overwritten', () => given[0]?.every((byte) => byte === 0))
  assert.deepEqual(await remembering.unwrap(wrapped, 'a'), SECRET)
  const other = await remembering.wrap(SECRET, 'c')
  await remembering.unwrap(other, 'c')
  await until('that there was no room for it', () => given[1]?.every((byte) => byte === 0))
})

test('a master key may be in a file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-key-'))
  try {
    const file = join(folder, 'master.key')
    await writeFile(file, `${SECRET.toString('base64')}\n`)
    const [key] = await readMasterKeys(`file:${file}`)
    assert.equal(key.id, masterKeyOf(SECRET).id)
    await assert.rejects(readMasterKeys(`file:${file}.none`), (error) => hasCode(error, 'CONFIG'))
  } finally {
    await rm(folder, { recursive: true })
  }
})
