import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { CarWriter } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { varint } from 'multiformats'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'
import { FORM, form, Intake, type Body, type FormPart } from './controller.ts'
import { chunks, isWhole, Nodes } from './nodes.ts'

const MIB = 1_024 * 1_024

/** What the same import gives in a store of its own. */
async function expected(items: { path: string; content?: Uint8Array }[] | Uint8Array): Promise<string> {
  await using nodes = await Nodes.open()
  const { store } = await nodes.add('expected')
  await using batch = store.openBatch()
  if (items instanceof Uint8Array) return (await addFile(chunks(items), batch)).root.toString()
  const streams = items.map(({ path, content }) =>
    content === undefined ? { path } : { path, content: chunks(content) },
  )
  return (await addDirectory(streams, batch)).root.toString()
}

function rootsOf({ store }: Intake): string[] {
  return [...store.roots()].map(({ cid }) => cid.toString())
}

async function refused(
  query: string,
  body: Body,
  headers: Record<string, string | number>,
  status = 400,
): Promise<string> {
  await using intake = await Intake.open()
  const answer = await intake.send(query, body, headers)
  assert.equal(answer.status, status, JSON.stringify(answer.body))
  assert.deepEqual(rootsOf(intake), [])
  return answer.body.error?.reason ?? ''
}

test('a file is stored, counted and answered', async () => {
  await using intake = await Intake.open()
  for (const length of [0, 1, 262_143, 262_144, 262_145, 3 * MIB + 1]) {
    const bytes = seededBytes(length, length)
    const { status, body } = await intake.send('kind=file', bytes, { 'content-type': 'image/png' })
    assert.equal(status, 201)
    assert.equal(body.cid, await expected(bytes))
    assert.equal(body.size, length)
    assert.equal(body.epoch, 7)
    assert.equal(body.complete, true)
    assert.equal(body.profile, 'unixfs-v1-2025')
    const stored = intake.store.root(CID.parse(body.cid))
    assert.deepEqual({ bytes: stored?.bytes, blocks: stored?.blocks }, { bytes: body.bytes, blocks: body.blocks })
    assert.ok(await isWhole(intake.store, CID.parse(body.cid)))
  }
})

test('the profile of the upload is kept', async () => {
  await using intake = await Intake.open()
  const { body } = await intake.send('kind=file&profile=unixfs-v0-2015', seededBytes(1, 300_000))
  assert.match(body.cid, /^Qm/)
  assert.equal(await refused('kind=file&profile=nonsense', 'x', {}), 'BAD_REQUEST')
})

test('a directory is taken from a form, names percent-encoded or plain', async () => {
  await using intake = await Intake.open()
  const big = seededBytes(2, 2 * MIB)
  const parts: FormPart[] = [
    { filename: 'site/index.html', content: '<html>', type: 'text/html' },
    { filename: 'site/caf%C3%A9/%E2%82%AC.txt', content: 'percent' },
    { filename: 'site/naïve.txt', content: 'plain' },
    { filename: 'site/100% sure.txt', content: 'no encoding' },
    { filename: 'site/empty', type: 'application/x-directory' },
    { filename: 'site/zero', content: '' },
    { filename: 'big.bin', content: big },
  ]
  const { status, body } = await intake.send('kind=directory', chunks(form(parts), 7_777), FORM)
  assert.equal(status, 201, JSON.stringify(body))
  const text = (value: string): Uint8Array => Buffer.from(value)
  assert.equal(
    body.cid,
    await expected([
      { path: 'site/index.html', content: text('<html>') },
      { path: 'site/café/€.txt', content: text('percent') },
      { path: 'site/naïve.txt', content: text('plain') },
      { path: 'site/100% sure.txt', content: text('no encoding') },
      { path: 'site/empty' },
      { path: 'site/zero', content: text('') },
      { path: 'big.bin', content: big },
    ]),
  )
  assert.equal(body.size, big.length + '<html>percentplainno encoding'.length)
  assert.ok(await isWhole(intake.store, CID.parse(body.cid)))
})

test('names in NFC and NFD stay distinct, and 255 byte names pass', async () => {
  await using intake = await Intake.open()
  const long = 'é'.repeat(127)
  const parts = ['\u00e9', 'e\u0301', long].map((filename) => ({
    filename: encodeURIComponent(filename),
    content: 'x',
  }))
  const { status, body } = await intake.send('kind=directory', form(parts), FORM)
  assert.equal(status, 201)
  assert.equal(body.size, 3)
})

test('forms that are no forms, or hold what we do not take, leave nothing', async (t) => {
  const ok: FormPart = { filename: 'a.txt', content: 'a' }
  const cases: Record<string, [Body, Record<string, string | number>]> = {
    'no boundary': [form([ok]), { 'content-type': 'multipart/form-data' }],
    'an empty boundary': [form([ok]), { 'content-type': 'multipart/form-data; boundary=""' }],
    'a boundary of 10 kB': [form([ok]), { 'content-type': `multipart/form-data; boundary=${'b'.repeat(10_000)}` }],
    'another type': [form([ok]), { 'content-type': 'application/json' }],
    'an empty body': ['', FORM],
    'no form in the body': ['something else', FORM],
    'a missing final boundary': [form([ok], { end: '' }), FORM],
    'an end inside a part': [form([ok, { filename: 'b', content: 'b'.repeat(1_000) }]).subarray(0, 600), FORM],
    'a part without a disposition': [form([ok, { disposition: '' }]), FORM],
    'a part of another disposition': [form([ok, { disposition: 'attachment; filename="b"' }]), FORM],
    'a part without a name': [form([ok, { disposition: 'form-data; filename="b"' }]), FORM],
    'a field': [form([ok, { name: 'note', content: 'hello', type: 'text/plain' }]), FORM],
    'an empty filename': [form([ok, { filename: '' }]), FORM],
    'a name that climbs': [form([ok, { filename: '../b' }]), FORM],
    'a name that climbs, encoded': [form([ok, { filename: '..%2Fb' }]), FORM],
    'an absolute name': [form([ok, { filename: '/etc/passwd' }]), FORM],
    'a name with NUL': [form([ok, { filename: 'b%00c' }]), FORM],
    'a name with an empty segment': [form([ok, { filename: 'b//c' }]), FORM],
    'a name twice': [form([ok, ok]), FORM],
    'a file as a folder': [form([ok, { filename: 'a.txt/b', content: 'b' }]), FORM],
    'a symbolic link': [form([ok, { filename: 'b', type: 'application/symlink', content: '/etc/passwd' }]), FORM],
    'a form in a form': [form([ok, { filename: 'b', type: 'multipart/mixed; boundary=x' }]), FORM],
    'a header of 100 kB': [form([ok, { filename: 'b'.repeat(100_000) }]), FORM],
  }
  for (const [name, [body, headers]] of Object.entries(cases)) {
    await t.test(name, async () => {
      assert.equal(await refused('kind=directory', body, headers), 'BAD_REQUEST')
    })
  }
})

test('a form of more parts than are allowed is refused', async () => {
  await using intake = await Intake.open({ maxParts: 500 })
  const parts = Array.from({ length: 500 }, (_, index) => ({ filename: `${index}`, content: '' }))
  assert.equal((await intake.send('kind=directory', form(parts), FORM)).status, 201)
  const { status, body } = await intake.send('kind=directory', form([...parts, { filename: 'one more' }]), FORM)
  assert.equal(status, 400)
  assert.match(body.error?.details ?? '', /more than 500 parts/)
  assert.equal(rootsOf(intake).length, 1)
})

test('more than is allowed is refused, announced or not', async () => {
  const query = 'kind=file&maxBytes=1000'
  const body = seededBytes(1, 3 * MIB)
  assert.equal(await refused(query, body, { 'content-length': body.length }, 413), 'PAYLOAD_TOO_LARGE')
  assert.equal(await refused(query, chunks(body), { 'transfer-encoding': 'chunked' }, 413), 'PAYLOAD_TOO_LARGE')
  await using intake = await Intake.open()
  assert.equal((await intake.send(query, seededBytes(1, 1_000))).status, 201)
})

test('a sender that waits for the word to go on gets it, or the refusal before it sent anything', async () => {
  await using intake = await Intake.open()
  const expect = { expect: '100-continue' }
  const taken = intake.request('kind=file', { ...expect, 'content-length': 5 })
  taken.flushHeaders()
  await once(taken, 'continue')
  taken.end('hello')
  const [response] = (await once(taken, 'response')) as [{ statusCode?: number }]
  assert.equal(response.statusCode, 201)

  const refused = intake.request('kind=file&maxBytes=10', { ...expect, 'content-length': 5_000 })
  let continued = false
  refused.on('continue', () => (continued = true)).on('error', () => {})
  refused.flushHeaders()
  const [refusal] = (await once(refused, 'response')) as [{ statusCode?: number }]
  assert.equal(refusal.statusCode, 413)
  assert.equal(continued, false)
  refused.destroy()
})

test('an upload that breaks off leaves no root, and the node takes the next one', async () => {
  await using intake = await Intake.open()
  for (const [query, headers] of [
    ['kind=file', {}],
    ['kind=directory', FORM],
  ] as const) {
    const request = intake.request(query, { ...headers, 'content-length': 1_000_000 })
    request.on('error', () => {})
    request.write(
      query === 'kind=file' ? seededBytes(1, 500_000) : form([{ filename: 'a', content: 'a' }], { end: '' }),
    )
    await until('the bytes have left', () => request.writableLength === 0)
    const closed = new Promise((resolve) => request.once('close', resolve))
    request.destroy()
    await closed
  }
  const { status } = await intake.send('kind=file', 'next')
  assert.equal(status, 201)
  assert.equal(rootsOf(intake).length, 1)
})

async function car(roots: readonly CID[], blocks: readonly { cid: CID; bytes: Uint8Array }[]): Promise<Buffer> {
  const { writer, out } = CarWriter.create([...roots])
  const gathered = Array.fromAsync(out)
  for (const block of blocks) await writer.put(block)
  await writer.close()
  return Buffer.concat(await gathered)
}

interface Dag {
  root: CID
  blocks: { cid: CID; bytes: Uint8Array }[]
}

/** A file of three leaves under a root. */
async function dag(seed = 1): Promise<Dag> {
  await using nodes = await Nodes.open()
  const { store } = await nodes.add('source')
  await using batch = store.openBatch()
  const { root, manifest } = await addFile(chunks(seededBytes(seed, 2 * MIB + 5)), batch)
  await batch.flush()
  const blocks = await Promise.all(
    [...manifest].map(async ({ cid }) => ({ cid, bytes: (await store.get(cid)) ?? new Uint8Array(0) })),
  )
  return { root, blocks }
}

const CAR = { 'content-type': 'application/vnd.ipld.car' }

test('a CAR with a whole DAG is committed', async () => {
  await using intake = await Intake.open()
  const { root, blocks } = await dag()
  const { status, body } = await intake.send('kind=car', await car([root], blocks), CAR)
  assert.equal(status, 201, JSON.stringify(body))
  assert.equal(body.cid, root.toString())
  assert.equal(body.complete, true)
  assert.equal(body.blocks, blocks.length)
  assert.equal(
    body.bytes,
    blocks.reduce((sum, { bytes }) => sum + bytes.length, 0),
  )
  assert.ok(await isWhole(intake.store, root))
})

test('a CAR that lacks its root or a leaf is kept without being counted, until the rest comes', async () => {
  for (const absent of [0, 2]) {
    await using intake = await Intake.open()
    const { root, blocks } = await dag()
    const some = blocks.filter((_, index) => index !== absent)
    const { status, body } = await intake.send('kind=car', await car([root], some), CAR)
    assert.equal(status, 201)
    assert.equal(body.complete, false)
    assert.equal(body.cid, root.toString())
    assert.deepEqual(rootsOf(intake), [])
    const rest = await intake.send('kind=car', await car([root], [blocks[absent] as Dag['blocks'][0]]), CAR)
    assert.equal(rest.body.complete, true)
    assert.ok(await isWhole(intake.store, root))
  }
})

test('a CAR with the same block many times is stored once', async () => {
  await using intake = await Intake.open()
  const { root, blocks } = await dag()
  const leaf = blocks[3] as Dag['blocks'][0]
  const again = Array.from({ length: 20_000 }, () => leaf)
  const { body } = await intake.send('kind=car', await car([root], [...again, ...blocks]), CAR)
  assert.equal(body.blocks, blocks.length)
  assert.equal(intake.store.space().blocks, blocks.length)
})

test('a CAR whose bytes do not match their CID stores neither a root nor that block', async () => {
  await using intake = await Intake.open()
  const { root, blocks } = await dag()
  const [first, second, ...rest] = blocks as [Dag['blocks'][0], Dag['blocks'][0], ...Dag['blocks']]
  const evil = [first, { cid: second.cid, bytes: Buffer.from('EVIL') }, ...rest]
  const { status, body } = await intake.send('kind=car', await car([root], evil), CAR)
  assert.equal(status, 422)
  assert.equal(body.error?.reason, 'HASH_MISMATCH')
  assert.deepEqual(rootsOf(intake), [])
  assert.equal(intake.store.has(second.cid), false)
})

test('bodies that are no CARs are refused', async (t) => {
  const { root, blocks } = await dag()
  const good = await car([root], blocks)
  const header = await car([root], [])
  const cases: Record<string, Uint8Array> = {
    'an empty body': Buffer.alloc(0),
    'three random bytes': Buffer.from([0x93, 0x01, 0xff]),
    'a header length of 2^40': Buffer.from(varint.encodeTo(2 ** 40, new Uint8Array(8))),
    'a header that claims 64 MiB': Buffer.concat([varint.encodeTo(64 * MIB, new Uint8Array(4)), Buffer.from('abc')]),
    'a section of length 0': Buffer.concat([header, Buffer.from([0])]),
    'a section shorter than its CID': Buffer.concat([header, Buffer.from([3, 1, 0x55, 0x12])]),
    'a section that is cut off': good.subarray(0, good.length - 7),
    'no root': await car([], blocks),
    'two roots': await car([root, (blocks[1] as Dag['blocks'][0]).cid], blocks),
  }
  for (const [name, body] of Object.entries(cases)) {
    await t.test(name, async () => {
      const reason = await refused('kind=car', body, CAR)
      assert.ok(['INVALID_CAR', 'BAD_REQUEST'].includes(reason), reason)
    })
  }
})

test('a section that claims 2 GiB is refused by its length', async () => {
  const { root } = await dag()
  const huge = Buffer.concat([await car([root], []), varint.encodeTo(2 ** 31, new Uint8Array(5)), root.bytes])
  assert.equal(await refused('kind=car', huge, CAR, 413), 'BLOCK_TOO_LARGE')
})

test('a call without a kind or a limit is refused', async () => {
  assert.equal(await refused('', 'x', {}), 'BAD_REQUEST')
  assert.equal(await refused('kind=tar', 'x', {}), 'BAD_REQUEST')
})
