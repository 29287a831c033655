import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buffer } from 'node:stream/consumers'
import { EXIT } from '../../services/cli/exit-codes.ts'
import { listFolder } from '../../services/cli/list-folder.ts'
import { folderBody } from '../../services/cli/multipart.ts'
import { readLocalFile } from '../../services/cli/read-local-file.ts'
import { readForm } from '../../services/node/form.ts'
import { joined, pseudoRandomBytes } from '../support/dag.ts'
import { runCli } from '../support/run-cli.ts'

const NEVER = new AbortController().signal
let place: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-cli-up-'))
})
after(() => rm(place, { recursive: true, force: true }))

async function folderOf(files: Record<string, string | Uint8Array>): Promise<string> {
  const root = await mkdtemp(join(place, 'folder-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), content)
  }
  return root
}

const ODD_NAMES = [
  'a b',
  'q"uo\'te',
  '100%',
  '%41',
  '\u00e9',
  'e\u0301',
  'new\nline',
  'back\\slash',
  '.hidden/.dot',
  '中文/x',
]

test('a folder is sent with every name, and exactly as long as it says', async () => {
  const root = await folderOf(Object.fromEntries(ODD_NAMES.map((name) => [name, `of ${name}`])))
  await mkdir(join(root, 'empty/deeper'), { recursive: true })
  await writeFile(join(root, 'large'), pseudoRandomBytes(1, 700_000))
  const { contentType, length, chunks } = folderBody(await listFolder(root, NEVER))
  const bytes = await joined(chunks as AsyncIterable<Uint8Array>)
  assert.equal(bytes.length, length)

  const found = new Map<string, string | undefined>()
  async function* body() {
    yield bytes
  }
  for await (const { path, content } of readForm(body(), { contentType })) {
    found.set(path, content === undefined ? undefined : Buffer.from(await joined(content)).toString('latin1'))
  }
  assert.deepEqual([...found.keys()].sort(), [...ODD_NAMES, 'empty/deeper', 'large'].sort())
  for (const name of ODD_NAMES) assert.equal(Buffer.from(found.get(name) ?? '', 'latin1').toString(), `of ${name}`)
  assert.equal(found.get('empty/deeper'), undefined)
  assert.equal(found.get('large')?.length, 700_000)
})

test('links are followed to files below the folder and nowhere else', async () => {
  const outside = await folderOf({ secret: 'secret' })
  const root = await folderOf({ 'sub/file': 'inside' })
  const links = {
    inside: 'sub/file',
    outside: join(outside, 'secret'),
    dangling: 'gone',
    loop: 'loop',
    folder: 'sub',
    up: '..',
  }
  for (const [name, target] of Object.entries(links)) await symlink(target, join(root, name))
  await symlink(`${root}-sibling`, join(root, 'sibling'))
  await writeFile(`${root}-sibling`, 'shares the prefix')
  const { files, left } = await listFolder(root, NEVER)
  assert.deepEqual(
    files.map(({ name }) => name),
    ['inside', 'sub/file'],
  )
  assert.deepEqual(left.sort(), ['dangling', 'folder', 'loop', 'outside', 'sibling', 'up'])
})

test('a file that is not what it was when it was listed is refused', async () => {
  for (const sizeBytes of [100, 600_000]) {
    const bytes = pseudoRandomBytes(2, sizeBytes)
    const root = await folderOf({ grown: bytes, shrunk: bytes, gone: bytes, rewritten: bytes })
    const { files } = await listFolder(root, NEVER)
    const read = (name: string) => joined(readLocalFile(files.find((file) => file.name === name)!))
    await appendFile(join(root, 'grown'), 'x')
    await writeFile(join(root, 'shrunk'), 'x')
    await rm(join(root, 'gone'))
    for (const name of ['grown', 'shrunk']) await assert.rejects(read(name), /changed while it was sent/)
    await assert.rejects(read('gone'), /it has gone/)
  }
})

test('a large file that grows while it is read never comes to its end', async () => {
  const root = await folderOf({ log: pseudoRandomBytes(3, 1_000_000) })
  const { files } = await listFolder(root, NEVER)
  let received = 0
  await assert.rejects(async () => {
    for await (const chunk of readLocalFile(files[0]!)) {
      received += chunk.length
      await appendFile(join(root, 'log'), 'x')
    }
  }, /changed while it was sent/)
  assert.ok(received < 1_000_000)
})

interface Request {
  url: string
  headers: IncomingHttpHeaders
  body: Buffer
}

type Respond = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void

/** A service that keeps what it was sent, and answers as it is told. */
async function service(respond: Respond): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    Promise.resolve(respond(request, response)).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const UPLOADED = {
  cid: 'bafycid',
  size: 1,
  blocks: 1,
  pin: { requestid: 'r', status: 'queued', created: 't', pin: {} },
}

function storing(requests: Request[]): Respond {
  return async (request, response) => {
    requests.push({ url: request.url ?? '', headers: request.headers, body: await buffer(request) })
    response.writeHead(201, { 'content-type': 'application/json' })
    response.end(JSON.stringify(UPLOADED))
  }
}

test('files and CARs are sent as they are, with their length, token and name', async () => {
  const requests: Request[] = []
  await using api = await service(storing(requests))
  const root = await folderOf({ 'one file': 'content', 'some.car': 'car', nothing: '' })
  const paths = ['one file', 'some.car', 'nothing'].map((name) => join(root, name))
  const ran = await runCli(['up', ...paths, '--url', api.url, '--token', 'hf_token'])
  assert.deepEqual([ran.exitCode, ran.stderr], [0, ''])
  assert.equal(ran.stdout, paths.map((path) => `bafycid\tqueued\t${path}\n`).join(''))
  const [file, car, nothing] = requests
  assert.equal(file?.url, '/v1/uploads?name=one+file')
  assert.equal(file.headers['content-length'], '7')
  assert.equal(file.headers.authorization, 'Bearer hf_token')
  assert.equal(file.body.toString(), 'content')
  assert.equal(car?.headers['content-type'], 'application/vnd.ipld.car')
  assert.equal(nothing?.headers['content-length'], '0')
})

test('-q prints CIDs only, --json one document a path', async () => {
  await using api = await service(storing([]))
  const root = await folderOf({ a: 'a', b: 'b' })
  const paths = [join(root, 'a'), join(root, 'b')]
  assert.equal((await runCli(['up', ...paths, '-q', '--url', api.url])).stdout, 'bafycid\nbafycid\n')
  const { stdout } = await runCli(['up', ...paths, '--json', '--url', api.url])
  const documents = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { path: string; cid: string })
  assert.deepEqual(
    documents.map(({ path, cid }) => [path, cid]),
    paths.map((path) => [path, 'bafycid']),
  )
})

test('on a terminal a bar is drawn and taken away', async () => {
  await using api = await service(storing([]))
  const root = await folderOf({ file: pseudoRandomBytes(4, 2_000_000) })
  const { stderr } = await runCli(['up', join(root, 'file'), '--url', api.url], { isTTY: true })
  assert.match(stderr, /\[#{24}\] 100% {2}1\.9 MiB of 1\.9 MiB/)
  assert.ok(stderr.endsWith('\r\u001b[2K'))
})

test('a service that refuses in the middle of a body is heard', async () => {
  await using api = await service(async (request, response) => {
    await once(request, 'data')
    response.writeHead(409, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { reason: 'INSUFFICIENT_FUNDS', details: 'The account is full.' } }))
  })
  const root = await folderOf({ file: pseudoRandomBytes(5, 30_000_000) })
  const { exitCode, stderr } = await runCli(['up', join(root, 'file'), '--url', api.url])
  assert.deepEqual([exitCode, stderr], [EXIT.auth, 'holdfast: The account is full.\n'])
})

test('a file that vanishes while a folder is sent ends the upload, and the service never has the whole body', async () => {
  const root = await folderOf({ 'a-large': pseudoRandomBytes(6, 30_000_000), 'b-small': 'x' })
  const { promise: ended, resolve } = Promise.withResolvers<boolean>()
  await using api = await service(async (request) => {
    request.once('close', () => resolve(request.complete))
    request.on('error', () => undefined)
    await once(request, 'data')
    await rm(join(root, 'b-small'))
    request.resume()
  })
  const { exitCode, stderr } = await runCli(['up', root, '--url', api.url])
  assert.equal(exitCode, EXIT.failure)
  assert.match(stderr, /b-small cannot be read: it has gone/)
  assert.equal(await ended, false)
})

test('what answers but is no API, or not at all, says so', async () => {
  await using page = await service((_, response) => void response.end('<html>'))
  const wrong = await runCli(['status', '--url', page.url])
  assert.equal(wrong.exitCode, EXIT.failure)
  assert.match(wrong.stderr, /no JSON/)
  await using silent = await service((request) => void request.socket.destroy())
  for (const url of [silent.url, 'http://127.0.0.1:1']) {
    const { exitCode, stderr } = await runCli(['status', '--url', url])
    assert.equal(exitCode, EXIT.unreachable)
    assert.match(stderr, /cannot be reached: E/)
  }
})

test('an interrupted upload is given up', async () => {
  const stop = new AbortController()
  await using api = await service(async (request) => {
    request.on('error', () => undefined)
    await once(request, 'data')
    stop.abort()
  })
  const root = await folderOf({ file: pseudoRandomBytes(8, 30_000_000) })
  const { exitCode, stdout, stderr } = await runCli(['up', join(root, 'file'), '--url', api.url], {
    signal: stop.signal,
  })
  assert.notEqual(exitCode, 0)
  assert.deepEqual([stdout, stderr], ['', ''])
})

test('a local cluster is found by its folder, and its token goes nowhere else', async () => {
  const seen: (string | undefined)[] = []
  const respond: Respond = (request, response) => {
    seen.push(request.headers.authorization)
    response.end('{"pins":0,"bytes":0,"maxPins":null,"nodes":[]}')
  }
  await using local = await service(respond)
  await using other = await service(respond)
  const data = await mkdtemp(join(place, 'data-'))
  await writeFile(join(data, 'ready.json'), JSON.stringify({ api: local.url, token: 'local', nodes: [] }))
  const environment = { HOLDFAST_DATA: data, HOLDFAST_URL: '' }
  await runCli(['token', 'ls'], { environment })
  await runCli(['token', 'ls', '--url', `${local.url}/`], { environment })
  await runCli(['token', 'ls', '--url', other.url], { environment })
  await runCli(['token', 'ls'], { environment: { ...environment, HOLDFAST_URL: other.url, HOLDFAST_TOKEN: 'mine' } })
  await runCli(['token', 'ls', '--token', 'flag'], { environment: { ...environment, HOLDFAST_TOKEN: 'mine' } })
  assert.deepEqual(seen, ['Bearer local', 'Bearer local', undefined, 'Bearer mine', 'Bearer flag'])
  assert.equal((await runCli(['status'])).exitCode, EXIT.usage)
})
