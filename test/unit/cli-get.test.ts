import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { UnixFS } from 'ipfs-unixfs'
import { EXIT } from '../../services/cli/exit-codes.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { blockGateway, type BlockGateway } from '../support/block-gateway.ts'
import { chunked, MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'
import { runCli, type Ran } from '../support/run-cli.ts'

const CONTENT = pseudoRandomBytes(7, 3_500_000)
const blocks = new MemoryBlocks()
let file: CID
let folder: CID
let large: CID
let place: string

before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-cli-get-'))
  file = (await addFile(chunked(CONTENT), blocks)).root
  const content = (text: string) => chunked(Buffer.from(text))
  folder = (
    await addDirectory(
      [
        { path: 'a b/100%.txt', content: content('hello') },
        { path: 'big.bin', content: chunked(CONTENT) },
        { path: 'empty' },
        { path: 'neu\nzeile', content: content('line') },
      ],
      blocks,
    )
  ).root
  const many = Array.from({ length: 5_000 }, (_, index) => ({
    path: `entry-${index}-${'x'.repeat(60)}`,
    content: chunked(Buffer.from(String(index))),
  }))
  large = (await addDirectory(many, blocks)).root
})
after(() => rm(place, { recursive: true, force: true }))

async function get(what: string, gateways: BlockGateway[] | string, target: string, ...more: string[]): Promise<Ran> {
  const nodes = typeof gateways === 'string' ? [] : gateways.map(({ url }) => ({ gateway: url }))
  const flags = typeof gateways === 'string' ? ['--gateway', gateways] : []
  const folder = await mkdtemp(join(place, 'cluster-'))
  await writeFile(join(folder, 'ready.json'), JSON.stringify({ api: 'http://127.0.0.1:1', token: 't', nodes }))
  const words = ['get', what, '-o', join(place, target), ...flags, ...more]
  const ran = await runCli(words, { environment: { HOLDFAST_DATA: folder } })
  await rm(folder, { recursive: true })
  return ran
}

/** What is in the place whose name begins so, drafts too. */
async function remains(target: string): Promise<string[]> {
  return (await readdir(place)).filter((name) => name.replace(/^\./, '').startsWith(target))
}

test('a file comes back as it was', async () => {
  await using gateway = await blockGateway(blocks)
  const { exitCode, stdout, stderr } = await get(file.toString(), gateway.url, 'file.bin')
  assert.deepEqual([exitCode, stdout, stderr], [0, `${join(place, 'file.bin')}\n`, ''])
  assert.equal(Buffer.compare(await readFile(join(place, 'file.bin')), CONTENT), 0)
  assert.equal(gateway.asked.length, 1, 'one CAR')
  assert.deepEqual(await remains('file.bin'), ['file.bin'])
})

test('a folder comes back with its names and its empty folder', async () => {
  await using gateway = await blockGateway(blocks)
  const { exitCode, stdout } = await get(folder.toString(), gateway.url, 'folder', '--json')
  assert.equal(exitCode, 0)
  assert.deepEqual(JSON.parse(stdout), {
    cid: folder.toString(),
    path: join(place, 'folder'),
    bytes: CONTENT.length + 9,
    files: 3,
    left: [],
  })
  assert.deepEqual((await readdir(join(place, 'folder'))).sort(), ['a b', 'big.bin', 'empty', 'neu\nzeile'])
  assert.equal(await readFile(join(place, 'folder/a b/100%.txt'), 'utf8'), 'hello')
  assert.equal(gateway.asked.length, 1)
})

test('a path is followed, in all its forms', async () => {
  await using gateway = await blockGateway(blocks)
  for (const form of [`${folder.toString()}/a b/100%.txt`, `ipfs://${folder.toString()}/a%20b/100%25.txt`]) {
    assert.equal((await get(form, gateway.url, 'path.txt')).exitCode, 0, form)
    assert.equal(await readFile(join(place, 'path.txt'), 'utf8'), 'hello')
    await rm(join(place, 'path.txt'))
  }
  const missing = await get(`${folder.toString()}/nope`, gateway.url, 'path.txt')
  assert.equal(missing.exitCode, EXIT.notFound)
})

test('a sharded folder of 5,000 files comes in one CAR', async () => {
  await using gateway = await blockGateway(blocks)
  assert.equal((await get(large.toString(), gateway.url, 'large')).exitCode, 0)
  assert.equal((await readdir(join(place, 'large'))).length, 5_000)
  assert.equal(gateway.asked.length, 1)
})

test('what is there already is not touched', async () => {
  await using gateway = await blockGateway(blocks)
  await writeFile(join(place, 'mine'), 'mine')
  const { exitCode, stderr } = await get(file.toString(), gateway.url, 'mine')
  assert.equal(exitCode, EXIT.usage)
  assert.match(stderr, /there already/)
  assert.equal(await readFile(join(place, 'mine'), 'utf8'), 'mine')
})

const flip = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes)
  copy[copy.length - 100] = (copy[copy.length - 100] as number) ^ 1
  return copy
}

test('wrong bytes end with 5 and leave nothing behind', async () => {
  await using gateway = await blockGateway(blocks, { car: flip, block: flip })
  for (const cid of [file, folder]) {
    const { exitCode, stderr } = await get(cid.toString(), gateway.url, 'wrong')
    assert.equal(exitCode, EXIT.verification, stderr)
    assert.deepEqual(await remains('wrong'), [])
  }
})

test('a CAR that is cut off leaves nothing behind', async () => {
  const cut = (bytes: Buffer): Buffer => bytes.subarray(0, 2_000_000)
  const none = (): Buffer => Buffer.alloc(0)
  for (const lies of [
    { car: cut, block: none },
    { breakAfter: 2_000_000, block: none },
    { car: none, block: none },
  ]) {
    await using gateway = await blockGateway(blocks, lies)
    for (const cid of [file, folder]) {
      const { exitCode } = await get(cid.toString(), gateway.url, 'cut')
      assert.notEqual(exitCode, 0)
      assert.deepEqual(await remains('cut'), [])
    }
  }
})

test('what one gateway gets wrong the next one puts right', async () => {
  await using wrong = await blockGateway(blocks, { car: flip, block: flip })
  await using breaking = await blockGateway(blocks, { breakAfter: 1_500_000 })
  await using empty = await blockGateway(new MemoryBlocks())
  await using honest = await blockGateway(blocks)
  const gone = await blockGateway(blocks)
  await gone[Symbol.asyncDispose]()
  for (const [index, bad] of [wrong, breaking, empty, gone].entries()) {
    const target = `repaired-${index}`
    const { exitCode, stderr } = await get(file.toString(), [bad, honest], target)
    assert.equal(exitCode, 0, stderr)
    assert.equal(Buffer.compare(await readFile(join(place, target)), CONTENT), 0)
  }
})

test('content that nobody has is not found; nobody at all is unreachable', async () => {
  await using empty = await blockGateway(new MemoryBlocks())
  assert.equal((await get(file.toString(), [empty], 'nothing')).exitCode, EXIT.notFound)
  assert.equal((await get(file.toString(), 'http://127.0.0.1:1', 'nothing')).exitCode, EXIT.unreachable)
  assert.equal((await get(file.toString(), [], 'nothing')).exitCode, EXIT.unreachable)
})

test('hostile names and links never leave the target', async () => {
  const hostile = new MemoryBlocks()
  const secret = hostile.addRaw(Buffer.from('owned'))
  const link = hostile.addPb(new UnixFS({ type: 'symlink', data: Buffer.from('../outside') }).marshal())
  const inner = hostile.addDirectory([['file', secret]])
  const names: [string, CID][] = [
    ['..', inner],
    ['.', secret],
    ['../escaped', secret],
    ['/tmp/escaped', secret],
    ['', secret],
    ['link', link],
    ['ok', secret],
  ]
  const root = hostile.addDirectory(names)
  await using gateway = await blockGateway(hostile)
  const { exitCode, stderr } = await get(root.toString(), gateway.url, 'hostile')
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /link is a symbolic link/)
  assert.deepEqual(await readdir(join(place, 'hostile')), ['ok'])

  const twice = hostile.addDirectory([
    ['link', link],
    ['same', secret],
    ['same', inner],
  ])
  assert.equal((await get(twice.toString(), gateway.url, 'twice')).exitCode, EXIT.failure)
  assert.deepEqual(await remains('twice'), [])
  assert.equal((await get(link.toString(), gateway.url, 'alone')).exitCode, EXIT.failure)
  assert.deepEqual(await remains('alone'), [])
  assert.equal((await readdir(place)).includes('escaped'), false)
})

test('an interrupted get leaves nothing behind', async () => {
  await using gateway = await blockGateway(blocks)
  const target = join(place, 'interrupted')
  const ran = await runCli(['get', file.toString(), '-o', target, '--gateway', gateway.url], {
    signal: AbortSignal.abort(),
  })
  assert.notEqual(ran.exitCode, 0)
  assert.equal(ran.stderr, '')
  assert.deepEqual(await remains('interrupted'), [])
})
