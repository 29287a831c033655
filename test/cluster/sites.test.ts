import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { carOf, dagOf } from '../../services/cli/folder-dag.ts'
import { listFolder } from '../../services/cli/list-folder.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { Cluster } from '../support/cluster.ts'
import { ask } from '../support/gateway.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { until } from '../support/until.ts'
import { failure } from '../support/web.ts'

/** Websites and followed names on a whole cluster, by the command line. */

const PROGRAM = resolve(import.meta.dirname, '../../services/cli/main.ts')
const HOUR_MS = 3_600_000
const FILM = seededBytes(5, 6_000_000)

let cluster: Cluster
let place: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-sites-'))
  cluster = await Cluster.start()
})
after(async () => {
  await cluster[Symbol.asyncDispose]()
  await rm(place, { recursive: true, force: true })
})

async function holdfast(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const env = { PATH: process.env['PATH'], HOLDFAST_DATA: cluster.folder }
  const child = spawn(process.execPath, [PROGRAM, ...words], { cwd: place, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, out, err }
}

async function answers<T>(...words: string[]): Promise<T> {
  const { code, out, err } = await holdfast(...words, '--json')
  assert.equal(code, 0, `${words.join(' ')}: ${err}`)
  return JSON.parse(out) as T
}

interface Deployed {
  cid: string
  name: string
  url: string
  previewUrl: string
  sequence: string
  sentBytes: number
}

/** Writes a version of the site, and deploys it. */
async function deploy(version: string, ...more: string[]): Promise<Deployed> {
  await mkdir(join(place, 'site', 'assets'), { recursive: true })
  await writeFile(join(place, 'site', 'index.html'), `<h1>version ${version}</h1>`)
  await writeFile(join(place, 'site', 'assets', 'film.mp4'), FILM)
  return await answers<Deployed>('deploy', 'site', '--name', 'my-site', ...more)
}

/** What every node serves at the host of a URL. */
async function servedByAll(url: string, body: string): Promise<void> {
  const { hostname } = new URL(url)
  for (const { id, gateway } of cluster.ready.nodes) {
    const host = `${hostname}:${new URL(gateway).port}`
    await until(
      `${body} from ${id}`,
      async () => (await ask(gateway, '/', { headers: { host } })).body.toString() === body,
    )
  }
}

async function pinsOf(cid: string): Promise<string[]> {
  const path = `/psa/pins?cid=${cid}&status=queued,pinning,pinned,failed`
  const { results } = await cluster.json<{ results: { requestid: string }[] }>(path)
  return results.map(({ requestid }) => requestid)
}

test('a site is deployed twice and rolled back, and its one URL serves each version in turn from every node', async () => {
  const one = await deploy('one')
  assert.match(one.url, new RegExp(`^http://${one.name}\\.ipns\\.localhost:\\d+/$`))
  assert.ok(one.sentBytes > FILM.length)
  assert.equal(new URL(one.previewUrl).hostname, `${one.cid}.ipfs.localhost`)
  await servedByAll(one.url, '<h1>version one</h1>')

  const two = await deploy('two')
  assert.deepEqual([two.url, two.sequence], [one.url, '2'])
  assert.ok(two.sentBytes > 0 && two.sentBytes < 2_000, `${two.sentBytes} bytes: only what is new`)
  await servedByAll(two.url, '<h1>version two</h1>')
  await servedByAll(one.previewUrl, '<h1>version one</h1>')
  for (const node of cluster.ready.nodes) {
    assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${two.cid}/assets/film.mp4`), FILM), 0, node.id)
  }

  const back = await answers<Deployed>('site', 'rollback', 'my-site')
  assert.deepEqual([back.cid, back.sequence], [one.cid, '3'])
  await servedByAll(back.url, '<h1>version one</h1>')
  const history = await holdfast('site', 'history', 'my-site', '--quiet')
  assert.equal(history.out, [one, two, one].map(({ cid }) => `/ipfs/${cid}\n`).join(''))
})

test('what is there already is not sent again; versions beyond those that are kept lose their pins', async () => {
  const again = await deploy('two', '--keep', '2')
  assert.deepEqual([again.sentBytes, again.sequence], [0, '4'])
  const three = await deploy('three')
  const { versions } = await cluster.json<{ versions: { value: string }[] }>('/v1/sites/my-site')
  assert.deepEqual(
    versions.slice(0, 2).map(({ value }) => value),
    [three, again].map(({ cid }) => `/ipfs/${cid}`),
  )
  const oldest = versions.at(-1)?.value.slice('/ipfs/'.length) ?? ''
  await until('the release of the oldest', async () => (await pinsOf(oldest)).length === 0)
  assert.equal((await pinsOf(again.cid)).length, 1)
  const { code, err } = await holdfast('site', 'rollback', 'my-site', '--to', '1')
  assert.equal(code, 4, err)
})

test('a CAR that leaves out what its base does not have either is refused, and nothing is pinned', async () => {
  const { pin: base } = await cluster.upload('something else')
  await cluster.pinned(base.requestid, 2)
  await writeFile(join(place, 'site', 'index.html'), 'nobody has this')
  const { signal } = new AbortController()
  const folder = await listFolder(join(place, 'site'), signal)
  const { root, entries } = await dagOf(folder, signal)
  const rootAlone = new Map([...entries].filter(([, { cid }]) => cid.equals(root)))
  const { contentType, chunks } = carOf(folder, root, rootAlone, signal)
  const body = Buffer.concat(await Array.fromAsync(chunks))
  for (const named of [base.requestid, '01a2113a-b1cf-7b73-b1b8-fdced5fba48e']) {
    const headers = { 'content-type': contentType }
    const response = await cluster.api(`/v1/uploads?base=${named}`, { method: 'POST', headers, body })
    assert.equal((await failure(response)).reason, 'BLOCK_MISSING')
  }
  assert.deepEqual(await pinsOf(root.toString()), [])
})

test('a foreign name is followed: its new version becomes pinned by itself, and the old one is released after that', async () => {
  const key = generateSigningKey()
  const publish = async (cid: string, sequence: bigint): Promise<void> => {
    const validUntilMs = Date.now() + HOUR_MS
    const { bytes } = createIpnsRecord(key, { value: `/ipfs/${cid}`, sequence, validUntilMs, ttlMs: HOUR_MS })
    const url = `${cluster.node(1).gateway}/routing/v1/ipns/${key.name.text}`
    assert.equal((await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })).status, 200)
  }
  const uploads = [await cluster.upload('followed one'), await cluster.upload('followed two')]
  const [one = '', two = ''] = uploads.map(({ cid }) => cid)
  await publish(one, 1n)
  await answers('follow', 'add', key.name.text, '--keep', '1', '--every', '10s')
  interface Follow {
    versions: { cid: string; pin: { requestid: string; status: string } | null }[]
  }
  const versions = async (): Promise<Follow['versions']> =>
    (await cluster.json<Follow>(`/v1/follows/${key.name.text}`)).versions
  const first = await until('the first version', async () => {
    const [version] = await versions()
    return version?.cid === one && version.pin?.status === 'pinned' && version.pin
  })
  await publish(two, 2n)
  let gaps = 0
  await until(
    'the second version alone',
    async () => {
      const seen = await versions()
      if (!seen.some(({ pin }) => pin?.status === 'pinned')) gaps++
      const [newest, ...older] = seen
      return newest?.cid === two && newest.pin?.status === 'pinned' && older.length === 0
    },
    60_000,
  )
  assert.equal(gaps, 0, 'a version is pinned at every moment')
  assert.ok(!(await pinsOf(one)).includes(first.requestid))
  assert.equal((await pinsOf(two)).length, 2, 'its own, and that of the upload')
})
