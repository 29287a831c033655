import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { CID } from 'multiformats/cid'
import type { GatewayRules, RulesDocument } from '../../services/core/gateway-rules.ts'
import { RulesFolder, type FetchPart } from '../../services/node/rules-folder.ts'

const CONTENT = CID.parse('bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4')
const RULE = `/ipfs/${CONTENT.toString()}\n`

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-rules-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** A control plane that counts what is got from it. */
class Plane {
  readonly documents = new Map<string, string[]>()
  fetched: string[] = []
  readonly fetch: FetchPart = async (hash, part) => {
    this.fetched.push(`${hash.slice(0, 8)}/${part}`)
    const text = this.documents.get(hash)?.[part]
    if (text === undefined) throw new Error('no such part')
    return text
  }

  document(...parts: string[]): RulesDocument {
    const text = parts.join('')
    const hash = createHash('sha256').update(text).digest('hex')
    this.documents.set(hash, parts)
    return { hash, bytes: Buffer.byteLength(text), parts: parts.length }
  }

  rules(
    lists: Record<string, string[]>,
    { access = [] as object[], signingKeys = [] as GatewayRules['signingKeys'] } = {},
  ) {
    const denylists = Object.entries(lists).map(
      ([name, parts]) => ({ name, status: 410, ...this.document(...parts) }) as const,
    )
    const lines = access.map((line) => `${JSON.stringify(line)}\n`)
    const content = { denylists, access: this.document(...lines), signingKeys }
    return { version: createHash('sha256').update(JSON.stringify(content)).digest('base64url'), ...content }
  }
}

test('new rules are in force once they are replaced, part by part', async () => {
  const plane = new Plane()
  const rules = await RulesFolder.open(folder)
  assert.equal(rules.denylists.block(CONTENT), undefined)
  const told = plane.rules({ own: ['# first part\n', RULE] })
  await rules.replace(told, plane.fetch)
  assert.deepEqual(rules.denylists.block(CONTENT), { list: 'own', status: 410 })
  assert.equal(rules.version, told.version)
  assert.equal(plane.fetched.length, 2)
})

test('a list that did not change is neither got nor read again', async () => {
  const plane = new Plane()
  const rules = await RulesFolder.open(folder)
  await rules.replace(plane.rules({ large: [RULE] }), plane.fetch)
  const [before] = rules.denylists.lists
  plane.fetched = []
  await rules.replace(plane.rules({ large: [RULE], small: ['/ipns/bad.example\n'] }), plane.fetch)
  assert.equal(plane.fetched.length, 1)
  assert.equal(rules.denylists.lists[0], before)
  assert.equal(rules.denylists.name('bad.example', [])?.list, 'small')
})

test('rules outlive a restart without the control plane, keys of signed URLs and the time do not', async () => {
  const plane = new Plane()
  const access = [{ root: CONTENT.toString(), allowedBy: [{ tenant: 3, rule: { token: true } }] }]
  const signingKeys = [
    { tenant: 3, key: Buffer.from('one').toString('base64url') },
    { tenant: 3, key: Buffer.from('two').toString('base64url') },
  ]
  const rules = await RulesFolder.open(folder)
  await rules.replace(plane.rules({ own: [RULE] }, { access, signingKeys }), plane.fetch)
  rules.heardClock(1_000_000)
  assert.deepEqual(rules.signingKeysOf(3).map(String), ['one', 'two'])
  assert.ok((rules.nowMs() ?? 0) >= 1_000_000)

  const again = await RulesFolder.open(folder)
  assert.ok(again.denylists.block(CONTENT))
  assert.equal(again.restricted.grantorsOf(CONTENT)?.length, 1)
  assert.equal(again.version, '')
  assert.deepEqual(again.signingKeysOf(3), [])
  assert.equal(again.nowMs(), undefined)
  for (const name of await readdir(folder)) {
    assert.ok(!(await readFile(join(folder, name), 'utf8')).includes(signingKeys[0]?.key ?? ''))
  }
})

test('a document that is not what its hash says changes nothing', async () => {
  const plane = new Plane()
  const rules = await RulesFolder.open(folder)
  const told = plane.rules({ own: [RULE] })
  plane.documents.set(told.denylists[0]?.hash ?? '', ['/ipns/other.example\n'])
  await assert.rejects(rules.replace(told, plane.fetch), { code: 'UPSTREAM_FAILED' })
  assert.equal(rules.denylists.block(CONTENT), undefined)
  assert.equal(rules.version, '')
})

test('documents that no rules name any more are removed', async () => {
  const plane = new Plane()
  const rules = await RulesFolder.open(folder)
  await rules.replace(plane.rules({ own: [RULE] }), plane.fetch)
  await rules.replace(plane.rules({}), plane.fetch)
  assert.equal(rules.denylists.block(CONTENT), undefined)
  assert.deepEqual(await readdir(folder), ['rules.json'])
})

test('a damaged folder is as good as an empty one', async () => {
  await writeFile(join(folder, 'rules.json'), '{"version":')
  const rules = await RulesFolder.open(folder)
  assert.equal(rules.version, '')
  const plane = new Plane()
  await rules.replace(plane.rules({ own: [RULE] }), plane.fetch)
  assert.ok((await RulesFolder.open(folder)).denylists.block(CONTENT))
})

test('another process of the node reads what was put there since', async () => {
  const plane = new Plane()
  const [writer, reader] = [await RulesFolder.open(folder), await RulesFolder.open(folder)]
  await writer.replace(plane.rules({ own: [RULE] }), plane.fetch)
  await reader.refresh()
  assert.ok(reader.denylists.block(CONTENT))
  await writer.replace(plane.rules({}), plane.fetch)
  await reader.refresh()
  assert.equal(reader.denylists.block(CONTENT), undefined)
})
