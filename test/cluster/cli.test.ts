import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'

const PROGRAM = resolve(import.meta.dirname, '../../services/cli/main.ts')
const UNKNOWN_CID = 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4'

let cluster: Cluster
let place: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-cli-'))
  cluster = await Cluster.start({ HOLDFAST_SUSPECT_AFTER: '2s', HOLDFAST_DOWN_AFTER: '4s' })
})
after(async () => {
  await cluster[Symbol.asyncDispose]()
  await rm(place, { recursive: true, force: true })
})

interface Ran {
  code: number | null
  out: string
  err: string
}

function start(words: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  const env = { PATH: process.env['PATH'], HOLDFAST_DATA: cluster.folder, ...environment }
  return spawn(process.execPath, [PROGRAM, ...words], { cwd: place, env, stdio: ['pipe', 'pipe', 'pipe'] })
}

async function holdfast(words: readonly string[], environment: Record<string, string> = {}): Promise<Ran> {
  const child = start(words, environment)
  child.stdin?.end()
  const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { code: child.exitCode, out, err }
}

async function succeeds(words: readonly string[], environment: Record<string, string> = {}): Promise<string> {
  const { code, out, err } = await holdfast(words, environment)
  assert.equal(code, 0, `${words.join(' ')}: ${err}`)
  return out.trim()
}

async function answers<T>(words: readonly string[]): Promise<T> {
  return JSON.parse(await succeeds([...words, '--json'])) as T
}

interface Pinned {
  cid: string
  pin: { requestid: string; status: string }
}

test('what goes up comes down: a file, a folder, a CAR', async () => {
  const folder = join(place, 'site')
  await mkdir(join(folder, 'empty'), { recursive: true })
  await mkdir(join(folder, 'ü %20'))
  await writeFile(join(folder, 'index.html'), '<h1>home</h1>')
  await writeFile(join(folder, 'ü %20', 'new\nline'), 'odd')
  await writeFile(join(folder, 'large.bin'), seededBytes(11, 5_000_000))
  const site = await answers<Pinned>(['up', 'site', '--wait'])
  assert.equal(site.pin.status, 'pinned')

  assert.equal(await succeeds(['get', site.cid, '-o', 'back']), 'back')
  assert.deepEqual(
    (await readdir(join(place, 'back'), { recursive: true })).sort(),
    (await readdir(folder, { recursive: true })).sort(),
  )
  for (const name of ['index.html', 'large.bin', 'ü %20/new\nline']) {
    assert.equal(Buffer.compare(await readFile(join(place, 'back', name)), await readFile(join(folder, name))), 0, name)
  }
  assert.equal(await succeeds(['get', `ipfs://${site.cid}/%C3%BC%20%2520/new%0Aline`, '-o', '-']), 'odd')

  const car = await fetch(`${cluster.node(0).gateway}/ipfs/${site.cid}?format=car`)
  await writeFile(join(place, 'site.car'), Buffer.from(await car.arrayBuffer()))
  assert.equal(await succeeds(['up', 'site.car', '-q']), site.cid)
  const imported = await succeeds(['car', 'import', '--no-pin', 'site.car'])
  assert.deepEqual(
    imported.split('\n').map((line) => line.split('\t')[0]),
    cluster.ready.nodes.map(() => site.cid),
  )
})

test('a sharded folder of 5,000 files comes back whole', async () => {
  const folder = join(place, 'many')
  await mkdir(folder)
  for (let index = 0; index < 5_000; index++) {
    await writeFile(join(folder, `entry-${index}-${'x'.repeat(60)}`), String(index))
  }
  const cid = await succeeds(['up', 'many', '-q'])
  await succeeds(['get', cid, '-o', 'many-back'])
  const names = await readdir(join(place, 'many-back'))
  assert.equal(names.length, 5_000)
  for (const name of names) assert.equal(await readFile(join(place, 'many-back', name), 'utf8'), name.split('-')[1])
})

test('pins are added, listed, waited for, explained and removed', async () => {
  await writeFile(join(place, 'pinned.txt'), 'pinned')
  const { cid } = await answers<Pinned>(['up', 'pinned.txt', '--wait'])
  const requestId = await succeeds(['pin', 'add', `/ipfs/${cid}`, '--name', 'again', '--wait', '-q'])
  assert.equal(await succeeds(['pin', 'ls', '--name', 'again', '-q']), cid)
  assert.match(await succeeds(['pin', 'ls', cid]), new RegExp(`^${cid}\tpinned\tagain\t.*\t${requestId}$`, 'm'))
  assert.equal((await answers<unknown[]>(['pin', 'ls', '--all'])).length >= 2, true)
  assert.match(await succeeds(['pin', 'get', requestId]), /again[^]*verified/)
  await cluster.pinned(requestId, 3)
  assert.match(await succeeds(['pin', 'why', requestId]), /^pinned: 3 of 3 copies verified\n/)
  await succeeds(['pin', 'wait', requestId])
  await succeeds(['pin', 'rm', requestId])
  assert.equal((await holdfast(['pin', 'get', requestId])).code, 4)
})

test('a wait that ends before the content is found exits with 6, and the pin tells why', async () => {
  const { code, out, err } = await holdfast(['pin', 'add', UNKNOWN_CID, '--wait', '--timeout', '1s', '-q'])
  assert.equal(code, 6)
  assert.match(err, /it goes on/)
  const why = await succeeds(['pin', 'why', out.trim()])
  assert.match(why, /^(queued|pinning|failed): 0 of 2 needed copies verified/)
  await until('a failed pin', async () => (await cluster.details(out.trim())).status === 'failed', 120_000)
  const failed = await holdfast(['pin', 'wait', out.trim()])
  assert.equal(failed.code, 1)
  assert.match(failed.err, /^holdfast: failed: 0 of 2/)
})

test('nodes, policies and tokens are administered', async () => {
  assert.match(await succeeds(['status']), /nodes: 3 of 3 up/)
  const drained = cluster.node(2).id
  assert.match(await succeeds(['node', 'drain', drained]), /is drain/)
  assert.match(await succeeds(['node', 'ls']), new RegExp(`^${drained}\t.*\tdrain`, 'm'))
  assert.equal(await succeeds(['node', 'undrain', drained]), `${drained} is active`)
  assert.match(await succeeds(['node', 'invite', 'new server', '--expires', '1h']), /^\S{20,}$/)

  await writeFile(join(place, 'policy.json'), '{"copies":{"min":1,"target":1}}')
  assert.match(await succeeds(['policy', 'preview', 'one', 'policy.json']), /^one: 0 roots/)
  assert.equal(await succeeds(['policy', 'apply', 'one', 'policy.json']), 'one is saved as version 1')
  assert.deepEqual(JSON.parse(await succeeds(['policy', 'get', 'one'])), { copies: { min: 1, target: 1 }, rules: [] })
  assert.match(await succeeds(['policy', 'ls']), /^one\t1\ttenant\t1\t1/m)
  await succeeds(['policy', 'rm', 'one'])

  const made = await answers<{ id: string; token: string }>([
    'token',
    'create',
    'ci',
    '--scopes',
    'pins:read',
    '--expires',
    '1d',
  ])
  const narrow = { HOLDFAST_TOKEN: made.token, HOLDFAST_URL: cluster.ready.api }
  await succeeds(['pin', 'ls'], narrow)
  assert.equal((await holdfast(['pin', 'add', UNKNOWN_CID], narrow)).code, 3)
  await succeeds(['token', 'revoke', made.id])
  await until('a token that is worthless', async () => (await holdfast(['pin', 'ls'], narrow)).code === 3)
})

test('what goes wrong has its exit code', async () => {
  const wrong: [string, number][] = [
    ['status --url http://127.0.0.1:1', 7],
    ['status --token hf_wrong', 3],
    ['pin get 01a21074-41f1-7daa-8ddb-acac0a52dfca', 4],
    [`pin why bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku`, 4],
    ['pin add nonsense', 2],
    [`pin add ${UNKNOWN_CID} --policy nowhere`, 2],
    ['policy get nowhere', 4],
    ['policy rm default', 4],
    ['node drain nowhere', 4],
    ['up nowhere', 2],
    ['get nonsense', 2],
    ['get bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku -o nothing', 4],
    ['nonsense', 2],
  ]
  for (const [line, code] of wrong) {
    const ran = await holdfast(line.split(' '))
    assert.equal(ran.code, code, `${line}: ${ran.err}`)
    assert.equal(ran.out, '', line)
    assert.match(ran.err, /^holdfast: .*\n$/, line)
  }
})

test('Ctrl-C ends an upload with 130', async () => {
  await writeFile(join(place, 'big.bin'), seededBytes(12, 30_000_000))
  const service = createServer((request) => void request.once('data', () => upload.kill('SIGINT')))
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  const { port } = service.address() as AddressInfo
  const upload = start(['up', 'big.bin', '--url', `http://127.0.0.1:${port}`])
  await once(upload, 'close')
  assert.equal(upload.exitCode, 130)
  service.close()
})

test('a closed pipe ends output with 141', async () => {
  await writeFile(join(place, 'small.txt'), 'small')
  const { cid } = await answers<Pinned>(['up', 'small.txt'])
  for (const words of [
    ['get', cid, '-o', '-'],
    ['pin', 'ls'],
  ]) {
    const writer = start(words)
    writer.stdout?.destroy()
    const [err] = await Promise.all([text(writer.stderr!), once(writer, 'close')])
    assert.deepEqual([writer.exitCode, err], [141, ''])
  }
})

test('while a node is down, content is read from the next', async () => {
  await writeFile(join(place, 'survivor.bin'), seededBytes(13, 2_000_000))
  const { cid, pin } = await answers<Pinned>(['up', 'survivor.bin', '--wait'])
  await cluster.pinned(pin.requestid, 3)
  process.kill(cluster.node(0).pid, 'SIGKILL')
  assert.equal(await succeeds(['get', cid, '-o', 'survived.bin']), 'survived.bin')
  assert.equal(Buffer.compare(await readFile(join(place, 'survived.bin')), seededBytes(13, 2_000_000)), 0)
  await until('a node that is down', async () => /\tdown\t/.test(await succeeds(['node', 'ls'])))
  const direct = { HOLDFAST_DATA: place, HOLDFAST_URL: cluster.ready.api, HOLDFAST_TOKEN: cluster.ready.token }
  await succeeds(['get', cid, '-o', 'direct.bin'], direct)
})
