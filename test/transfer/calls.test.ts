import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import { once } from 'node:events'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CID } from 'multiformats/cid'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { replicateSmall } from '../../services/transfer/replicate-small.ts'
import { tlsOptions } from '../../services/transfer/tls.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { chunks, isWhole, lying, Nodes, storeFile, storeFiles } from './nodes.ts'

const MIB = 1_024 * 1_024
const signal = new AbortController().signal

test('single blocks, and which of them are held', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const bytes = seededBytes(1, 5_000)
  const file = await storeFile(a.store, bytes)
  const absent = (await storeFile(b.store, seededBytes(2, 100))).cid
  assert.deepEqual(await b.client.has('a', [absent, file.cid, absent, file.cid]), [false, true, false, true])
  assert.deepEqual(new Uint8Array((await b.client.block('a', file.cid)) ?? []), new Uint8Array(bytes))
  assert.equal(await b.client.block('a', absent), undefined)
  assert.equal(await b.client.manifest('a', absent), undefined)
  assert.ok((b.client.rttMs('a') ?? 0) > 0)
  assert.equal(b.client.rttMs('b'), undefined)
})

test('a block under a CID of version 0 is the block', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  await using batch = a.store.openBatch()
  const { root, manifest } = await addFile(chunks(seededBytes(3, 300_000)), batch, { profile: 'unixfs-v0-2015' })
  await batch.commitRoot(root, manifest)
  assert.equal(root.version, 0)
  const v1 = CID.createV1(root.code, root.multihash)
  assert.deepEqual(await b.client.block('a', v1), await b.client.block('a', root))
  const both = await Array.fromAsync(b.client.blocks('a', [root, ...[...manifest].slice(1).map(({ cid }) => cid)]))
  assert.equal(both.length, [...manifest].length)
})

test('a wrong block is refused', async () => {
  await using nodes = await Nodes.open()
  await nodes.add('a', { serves: (store) => lying(store, { get: () => Promise.resolve(Buffer.from('wrong')) }) })
  const b = await nodes.add('b')
  const { cid } = await storeFile(b.store, seededBytes(4, 100))
  await assert.rejects(b.client.block('a', cid), { code: 'HASH_MISMATCH' })
})

test('an answer that does not come in time is given up', async () => {
  await using nodes = await Nodes.open()
  await nodes.add('a', { serves: (store) => lying(store, { get: () => new Promise(() => {}) }) })
  const b = await nodes.add('b', { client: { stallMs: 200 } })
  const { cid } = await storeFile(b.store, seededBytes(5, 100))
  await assert.rejects(b.client.block('a', cid), { code: 'TIMED_OUT' })
  await assert.rejects(b.client.block('a', cid, { timeoutMs: 50 }), { code: 'TIMED_OUT' })
  const stop = AbortSignal.timeout(50)
  await assert.rejects(b.client.block('a', cid, { signal: stop }), { name: 'TimeoutError' })
})

test('calls that ask for too much or make no sense are refused, and the node goes on', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const { cid } = await storeFile(a.store, seededBytes(6, 100))
  const raw = async (head: string, body: Uint8Array = new Uint8Array(0)): Promise<string> => {
    const socket = connect({
      host: '127.0.0.1',
      port: a.server.port,
      ...tlsOptions(b.identity),
      rejectUnauthorized: false,
    })
    socket.on('error', () => {})
    socket.write(`${head} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n`)
    socket.write(body)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return answer.toString('latin1').slice(9, 12)
  }
  await assert.rejects(
    b.client.has(
      'a',
      Array.from({ length: 1_025 }, () => cid),
    ),
    /400/,
  )
  assert.equal(await raw('POST /has', Buffer.from('these are no CIDs')), '400')
  assert.equal(await raw('GET /block/nonsense'), '400')
  assert.equal(await raw(`GET /manifest/${cid.toString()}?from=-1`), '400')
  assert.equal(await raw('GET /nothing'), '404')
  assert.equal(await raw('POST /block/x'), '405')
  assert.equal(await raw('GET //'), '400')
  assert.equal(await raw('GET /'), '404')
  assert.deepEqual(await b.client.has('a', [cid]), [true])
})

test('an answer that is not read waits without growing, and the next call works', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(7, 40 * MIB))
  const cids = [...a.store.manifest(file.cid)].map(({ cid }) => cid)
  let got = 0
  for await (const _ of b.client.blocks('a', cids)) if (++got === 3) break
  assert.equal(got, 3)
  assert.equal((await Array.fromAsync(b.client.blocks('a', cids))).length, cids.length)
})

test('many small roots travel in one call and are durable each', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const contents = Array.from({ length: 1_500 }, (_, index) => seededBytes(index, 1_000))
  const roots = (await storeFiles(a.store, contents)).map(({ cid }) => cid)
  const large = (await storeFile(a.store, seededBytes(9, 2 * MIB))).cid
  const absent = CID.parse('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
  const copied = await replicateSmall({
    roots: [large, ...roots, absent],
    source: 'a',
    store: b.store,
    client: b.client,
    signal,
  })
  assert.equal(copied.size, 1_500)
  for (const root of [roots[0], roots[700], roots[1_499]])
    assert.ok(root !== undefined && (await isWhole(b.store, root)))
  assert.equal(b.store.root(large), undefined)
})

test('small roots from a lying or missing node are not copied', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a', {
    serves: (store) =>
      lying(store, {
        // The root's own block alone: not the whole DAG.
        *manifest(root, from = 0, to = 1) {
          yield* store.manifest(root, from, Math.min(to, 1))
        },
      }),
  })
  const b = await nodes.add('b')
  await using batch = a.store.openBatch()
  const files = ['a', 'b'].map((path) => ({ path, content: chunks(Buffer.from(path)) }))
  const { root, manifest } = await addDirectory(files, batch)
  await batch.commitRoot(root, manifest)
  const two = await addFile(chunks(Buffer.concat([seededBytes(11, 300), seededBytes(12, 300)])), batch)
  await batch.commitRoot(two.root, two.manifest)
  const options = { roots: [root, two.root], store: b.store, client: b.client, signal }
  const copied = await replicateSmall({ ...options, source: 'a' })
  assert.deepEqual([...copied.keys()], [two.root.toString()])
  assert.equal((await replicateSmall({ ...options, source: 'nobody' })).size, 0)
})

test('connections that are not used again leave no memory behind', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const { cid } = await storeFile(a.store, seededBytes(1, 100))
  const address = nodes.directory.node('a')
  assert.ok(address)
  await b.client.block('a', cid)
  const before = await bufferBytes()
  for (let i = 0; i < 150; i++) {
    // The one that waits leads elsewhere now, as far as the client can tell.
    nodes.directory.nodes.set('a', { ...address, host: i % 2 === 0 ? 'localhost' : address.host })
    await b.client.block('a', cid)
  }
  // Each reads into 64 KiB of its own.
  const grown = (await bufferBytes()) - before
  assert.ok(grown < 3 * MIB, `${grown} bytes are held`)
})

/** What buffers take once everything that can be collected was. */
async function bufferBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 5; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers
}
