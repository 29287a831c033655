import assert from 'node:assert/strict'
import { request, type IncomingHttpHeaders } from 'node:http'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { openDatabase } from '../../services/catalog/database.ts'
import { signUrl } from '../../services/core/signed-url.ts'
import { Cluster } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const PAGE = '<!doctype html><script>document.title = "it ran"</script>'

let cluster: Cluster
before(async () => {
  // What is not logged at this level is logged at none.
  cluster = await Cluster.start({ HOLDFAST_LOG_LEVEL: 'trace' })
})
after(() => cluster[Symbol.asyncDispose]())

test("the API's origin serves no user content, and pages cannot use it from a gateway's", async () => {
  const { cid, pin } = await cluster.upload(PAGE, '?name=page.html')
  await cluster.pinned(pin.requestid, 2)
  const { host, port } = new URL(cluster.ready.api)
  const asked: [path: string, host: string][] = [
    [`/ipfs/${cid}`, host],
    [`/ipfs/${cid}/`, host],
    [`/${cid}`, host],
    [`/v1/uploads/${cid}`, host],
    [`/v1/pins/${pin.requestid}`, host],
    [`/ipns/${cid}`, host],
    ['/', `${cid}.ipfs.localhost:${port}`],
    ['/page.html', `${cid}.ipfs.localhost:${port}`],
  ]
  for (const [path, name] of asked) {
    const { headers, body } = await ask(cluster.ready.api, path, name)
    assert.ok(!body.includes('it ran'), `${path} at ${name}`)
    assert.equal(headers['set-cookie'], undefined)
    assert.equal(headers['access-control-allow-credentials'], undefined)
    assert.equal(headers['x-content-type-options'], 'nosniff')
  }
  // The same page at a gateway runs in an origin without rights, or in one of its own.
  const onPath = await ask(cluster.node(0).gateway, `/ipfs/${cid}`, '127.0.0.1')
  assert.equal(onPath.body, PAGE)
  assert.match(String(onPath.headers['content-security-policy']), /sandbox/)
})

test('no secret of any kind is in a log, in the database or readable by others on the disk', async () => {
  const headers = { 'content-type': 'application/json' }
  const post = <T>(path: string, body: unknown): Promise<T> =>
    cluster.json<T>(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const minted = await post<{ token: string }>('/v1/tokens', { name: 'canary', scopes: ['pins:read', 'gateway:read'] })
  const { key } = await cluster.json<{ key: string }>('/v1/signing-keys', { method: 'POST' })
  await post('/v1/names', { label: 'canary' })
  const { cid } = await cluster.upload('for members only')
  const rule = { anyOf: [{ token: true }, { signedUrl: true }] }
  await cluster.json(`/v1/access/${cid}`, { method: 'PUT', headers, body: JSON.stringify(rule) })

  const expires = Math.floor(Date.now() / 1_000) + 600
  const signature = signUrl(Buffer.from(key, 'base64url'), `/ipfs/${cid}`, expires)
  const { gateway } = cluster.node(0)
  await until('a signed URL that is good', async () => {
    return (await fetch(`${gateway}/ipfs/${cid}?hf-exp=${expires}&hf-sig=${signature}`)).status === 200
  })
  const bearer = { headers: { authorization: `Bearer ${minted.token}` } }
  await until('a token that is good', async () => (await fetch(`${gateway}/ipfs/${cid}`, bearer)).status === 200)
  // Failures are what is logged most.
  await fetch(`${gateway}/ipfs/${cid}/missing?hf-exp=${expires}&hf-sig=${signature}`)
  await fetch(`${cluster.ready.api}/v1/names?token=${minted.token}`, { headers: { authorization: `Bearer ${key}` } })
  await fetch(`${cluster.ready.api}/v1/tokens`, { method: 'POST', ...bearer, body: '{"name":' })

  const secrets = await secretsOf([minted.token, key, signature])
  const logs = join(cluster.folder, 'logs')
  for (const name of [
    ...(await readdir(logs)).map((log) => join(logs, log)),
    join(cluster.folder, 'postgres', 'log'),
  ]) {
    const log = await readFile(name, 'utf8')
    for (const [what, secret] of secrets) assert.ok(!log.includes(secret), `${what} is in ${name}`)
  }
  const rows = await everyRow()
  for (const [what, secret] of secrets) assert.ok(!rows.includes(secret), `${what} is in the database`)
  for (const file of [
    'token',
    'join-token',
    'secrets-key',
    'ready.json',
    'control/controller.key',
    'nodes/shanghai-1/node.key',
  ]) {
    assert.equal((await stat(join(cluster.folder, file))).mode & 0o077, 0, file)
  }
})

interface Answer {
  headers: IncomingHttpHeaders
  body: string
}

function ask(origin: string, path: string, host: string): Promise<Answer> {
  return new Promise((answer, fail) => {
    const call = request(
      origin,
      { path, headers: { host, authorization: `Bearer ${cluster.ready.token}` } },
      (response) => {
        text(response).then((body) => answer({ headers: response.headers, body }), fail)
      },
    )
    call.on('error', fail)
    call.end()
  })
}

/** Everything that opens a door, by what it is. */
async function secretsOf(made: readonly string[]): Promise<[what: string, secret: string][]> {
  const kept = await Promise.all(
    ['join-token', 'secrets-key'].map(async (name): Promise<[string, string]> => [
      name,
      (await readFile(join(cluster.folder, name), 'utf8')).trim(),
    ]),
  )
  const [minted = '', signingKey = '', signature = ''] = made
  const nodeKey = await readFile(join(cluster.node(0).data, 'node.key'), 'utf8')
  return [
    ['the first token', cluster.ready.token],
    ['a token', minted],
    ['a signing key', signingKey],
    ['a signing key in hex', Buffer.from(signingKey, 'base64url').toString('hex')],
    ['the signature of a URL', signature],
    ['the password of the database', new URL(cluster.ready.database).password],
    ['the key of a node', nodeKey.split('\n').find((line) => line.length > 20 && !line.startsWith('---')) ?? nodeKey],
    ...kept,
  ]
}

/** All rows of all tables as text; bytes in hex. */
async function everyRow(): Promise<string> {
  await using db = openDatabase(cluster.ready.database, { connections: 1 })
  const tables = await db.query<{ name: string }>(
    `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
  )
  const rows = await Promise.all(
    tables.map(({ name }) => db.query<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`)),
  )
  assert.ok(rows.flat().length > 0)
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n')
}
