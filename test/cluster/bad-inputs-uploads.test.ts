import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before } from 'node:test'
import { CID } from 'multiformats/cid'
import { varint } from 'multiformats'
import { badInput, carOf, pinCount, read, refused, watch, type Watch } from '../support/bad-inputs.ts'
import { Cluster, type PinAnswer } from '../support/cluster.ts'
import { MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'
import { MIB } from '../../services/core/units.ts'

/** Bodies of `POST /v1/uploads`. What is refused leaves no pin, and nothing that can be read. */

let cluster: Cluster
let watched: Watch

before(async () => {
  cluster = await Cluster.start()
  watched = watch(cluster)
})
after(async () => {
  try {
    // A form of 60,000 parts leaves V8 with up to 300 MiB of heap that it keeps, and the next one adds nothing to it.
    watched.unharmed(384 * MIB)
  } finally {
    await cluster[Symbol.asyncDispose]()
  }
})

const CAR = 'application/vnd.ipld.car'

function upload(body: Uint8Array | string, type: string, query = ''): Promise<Response> {
  return cluster.api(`/v1/uploads${query}`, { method: 'POST', headers: { 'content-type': type }, body: body as string })
}

interface Uploaded {
  cid: string
  blocks: number
  size: number
  pin: PinAnswer
}

async function uploaded(response: Response): Promise<Uploaded> {
  assert.equal(response.status, 201, await response.clone().text())
  return (await response.json()) as Uploaded
}

/** A file of four leaves under a root, the root first. */
function file(seed: number): { root: CID; blocks: MemoryBlocks } {
  const blocks = new MemoryBlocks()
  const leaves = [0, 1, 2, 3].map((index) => blocks.addRaw(seededBytes(seed * 10 + index, 1_000)))
  return { root: blocks.addFileNode(leaves, [1_000, 1_000, 1_000, 1_000]), blocks }
}

function section(length: number, ...bytes: Uint8Array[]): Buffer {
  return Buffer.concat([varint.encodeTo(length, new Uint8Array(varint.encodingLength(length))), ...bytes])
}

badInput('no CAR at all', async () => {
  const pins = await pinCount(cluster)
  for (const body of [
    Buffer.alloc(0),
    Buffer.from([0x93, 0x01, 0xff]),
    section(2 ** 40),
    section(64 * 1_048_576, Buffer.from('abc')),
  ]) {
    await refused(await upload(body, CAR), 400)
  }
  assert.equal(await pinCount(cluster), pins)
})

badInput('a CAR that lies about a block', async () => {
  const pins = await pinCount(cluster)
  const { root, blocks } = file(1)
  const [first, second, ...rest] = blocks.blocks()
  assert.ok(first !== undefined && second !== undefined)
  const body = await carOf([root], [first, { cid: second.cid, bytes: Buffer.from('EVIL') }, ...rest])
  assert.equal(await refused(await upload(body, CAR), 422), 'HASH_MISMATCH')
  assert.equal(await pinCount(cluster), pins)
  for (const { gateway } of cluster.ready.nodes) {
    assert.equal((await read(gateway, `/ipfs/${second.cid.toString()}`)).status, 404)
  }
})

badInput('a CAR with an impossible section', async () => {
  const pins = await pinCount(cluster)
  const { root } = file(2)
  const header = await carOf([root], [])
  for (const bad of [
    section(0),
    section(3, Buffer.from([1, 0x55, 0x12])),
    section(36, Buffer.from([1, 0x55, 0x12, 0x20])),
  ]) {
    await refused(await upload(Buffer.concat([header, bad]), CAR), 400)
  }
  assert.equal(await pinCount(cluster), pins)
  for (const { gateway } of cluster.ready.nodes) {
    assert.equal((await read(gateway, `/ipfs/${root.toString()}`)).status, 404)
  }
})

badInput('a CAR that lacks blocks', async () => {
  for (const [seed, absent] of [
    [3, 'root'],
    [4, 'leaf'],
  ] as const) {
    const { root, blocks } = file(seed)
    const all = blocks.blocks()
    const lacking = all.filter(({ cid }, index) => (absent === 'root' ? !cid.equals(root) : index !== 0))
    const { pin } = await uploaded(await upload(await carOf([root], lacking), CAR))
    const tried = await until('a try to get the rest', async () => {
      const details = await cluster.details(pin.requestid)
      assert.notEqual(details.status, 'pinned')
      return details.replicas.some(({ error }) => typeof error === 'string') && details
    })
    assert.ok(['queued', 'pinning', 'failed'].includes(tried.status))
    const whole = await uploaded(await upload(await carOf([root], all), CAR))
    await cluster.pinned(whole.pin.requestid, 2)
    await cluster.pinned(pin.requestid, 2)
  }
})

badInput('a CAR with one block many times', async () => {
  const bytes = seededBytes(50, 100)
  const blocks = new MemoryBlocks()
  const cid = blocks.addRaw(bytes)
  const one = (await carOf([cid], [{ cid, bytes }])).subarray((await carOf([cid], [])).length)
  const many = Buffer.concat([await carOf([cid], []), Buffer.alloc(one.length * 1_000_000, one)])
  const answer = await uploaded(await upload(many, CAR))
  assert.equal(answer.blocks, 1)
  await cluster.pinned(answer.pin.requestid, 3)
  const copies = `/v1/pins/${answer.pin.requestid}`
  const { replicas } = await cluster.json<{ replicas: { blocks: number; bytes: number }[] }>(copies)
  for (const { blocks: stored, bytes: size } of replicas) assert.deepEqual([stored, size], [1, bytes.length])
})

/** A form as text, parts with a disposition of their own. */
function form(
  boundary: string,
  parts: readonly { disposition: string; content?: string; type?: string }[],
  end = true,
): string {
  const written = parts.map(
    ({ disposition, content = 'x', type = 'text/plain' }) =>
      `--${boundary}\r\nContent-Disposition: ${disposition}\r\nContent-Type: ${type}\r\n\r\n${content}\r\n`,
  )
  return written.join('') + (end ? `--${boundary}--\r\n` : '')
}

function named(filename: string): { disposition: string } {
  return { disposition: `form-data; name="file"; filename="${filename}"` }
}

badInput('malformed forms', async (t) => {
  const pins = await pinCount(cluster)
  const type = 'multipart/form-data; boundary=b'
  const ok = named('a.txt')
  const inner = form('c', [named('inner.txt')])
  const cases: Record<string, [body: string, type: string]> = {
    'no boundary': [form('b', [ok]), 'multipart/form-data'],
    'a boundary of 10 kB': [form('b'.repeat(10_000), [ok]), `multipart/form-data; boundary=${'b'.repeat(10_000)}`],
    '100,000 parts': [
      form(
        'b',
        Array.from({ length: 100_000 }, (_, index) => named(`${index}`)),
      ),
      type,
    ],
    'a part without a name': [form('b', [ok, { disposition: 'form-data; filename="b"' }]), type],
    'a filename that climbs': [form('b', [ok, named('../../etc/cron.d/evil')]), type],
    'a filename with NUL': [form('b', [ok, named('b%00c')]), type],
    'a form in a form': [form('b', [ok, { ...named('b'), type: 'multipart/mixed; boundary=c', content: inner }]), type],
    'no final boundary': [form('b', [ok], false), type],
  }
  for (const [title, [body, contentType]] of Object.entries(cases)) {
    await t.test(title, async () => void (await refused(await upload(body, contentType), 400)))
  }
  await t.test('a body shorter than its Content-Length', async () => {
    const { port } = new URL(cluster.ready.api)
    const body = form('b', [ok])
    const socket = connect(Number(port), '127.0.0.1')
    socket.end(
      `POST /v1/uploads HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer ${cluster.ready.token}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length + 1_000}\r\n\r\n${body}`,
    )
    const answer = (await socket.setEncoding('utf8').toArray()).join('')
    assert.ok(answer === '' || answer.startsWith('HTTP/1.1 400'), answer)
  })
  await t.test('a body longer than its Content-Length', async () => {
    const { port } = new URL(cluster.ready.api)
    const body = form('b', [ok])
    const socket = connect(Number(port), '127.0.0.1')
    socket.end(
      `POST /v1/uploads HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer ${cluster.ready.token}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length - 9}\r\n\r\n${body}`,
    )
    const answer = (await socket.setEncoding('utf8').toArray()).join('')
    assert.match(answer, /^HTTP\/1.1 400/)
  })
  assert.equal(await pinCount(cluster), pins)
})

badInput('resumable uploads', async () => {
  // Uploads are not resumable by HTTP: whoever tries is told so, and nothing is kept of the try.
  const pins = await pinCount(cluster)
  const tus = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' }
  for (const [method, path] of [
    ['PATCH', '/v1/uploads/some-upload'],
    ['PATCH', '/v1/uploads'],
    ['GET', '/v1/uploads/some-upload'],
  ] as const) {
    const init = method === 'GET' ? { method } : { method, headers: tus, body: 'part' }
    await refused(await cluster.api(path, init), path === '/v1/uploads' ? 405 : 404)
  }
  assert.equal(await pinCount(cluster), pins)
})

interface Vector {
  profile: string
  case: string
  seed: number
  size: number
  count: number
  nameLength: number
  cid: string
}

badInput('sizes and names at the edges', async (t) => {
  const fixture = new URL('../fixtures/unixfs-cids.json', import.meta.url)
  const vectors = JSON.parse(readFileSync(fixture, 'utf8')) as Vector[]
  for (const { profile, seed, size, cid } of vectors.filter(
    (vector) => vector.case === 'file' && vector.size < 300_000,
  )) {
    await t.test(`${profile}: ${size} bytes`, async () => {
      const bytes = pseudoRandomBytes(seed, size)
      const answer = await uploaded(await upload(bytes, 'application/octet-stream', `?profile=${profile}`))
      assert.equal(answer.cid, cid)
      assert.deepEqual(await cluster.read(cluster.node(1), `/ipfs/${cid}`), bytes)
    })
  }
  for (const { profile, cid, size } of vectors.filter((vector) => vector.case === 'names')) {
    await t.test(`${profile}: names of 255 bytes, in NFC and in NFD`, async () => {
      const names = ['caf\u00e9', 'cafe\u0301', '\u4e2d\u6587\\x', 'file-0'.padEnd(255, 'x')]
      const body = new FormData()
      names.forEach((name, index) =>
        body.append('file', new Blob([pseudoRandomBytes(index + 1, size)]), encodeURIComponent(name)),
      )
      const answer = await uploaded(await cluster.api(`/v1/uploads?profile=${profile}`, { method: 'POST', body }))
      assert.equal(answer.cid, cid)
      for (const [index, name] of names.entries()) {
        const content = await cluster.read(cluster.node(2), `/ipfs/${cid}/${encodeURIComponent(name)}`)
        assert.deepEqual(content, pseudoRandomBytes(index + 1, size))
      }
    })
  }
  for (const { profile, cid, count, nameLength, size } of vectors.filter(
    (vector) => vector.profile === 'unixfs-v1-2025' && vector.nameLength === 34,
  )) {
    await t.test(`${profile}: ${count} entries, at the limit of one block`, async () => {
      const body = new FormData()
      for (let index = 0; index < count; index++) {
        body.append('file', new Blob([pseudoRandomBytes(index + 1, size)]), `file-${index}`.padEnd(nameLength, 'x'))
      }
      assert.equal(
        (await uploaded(await cluster.api(`/v1/uploads?profile=${profile}`, { method: 'POST', body }))).cid,
        cid,
      )
    })
  }
})
