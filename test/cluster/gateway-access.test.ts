import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { signUrl } from '../../services/core/signed-url.ts'
import { retrieve } from '../../services/swarm/retrieve.ts'
import { Cluster, type ReadyNode } from '../support/cluster.ts'
import { rawCid } from '../support/cids.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { openTestPeer } from '../support/test-peer.ts'
import { until } from '../support/until.ts'
import { failure } from '../support/web.ts'

/** What is saved has to be in force everywhere by then. */
const LIVE_WITHIN_MS = 5_000

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start({ HOLDFAST_GATEWAY_WORKERS: '2' })
})
after(() => cluster[Symbol.asyncDispose]())

async function statusOf(node: ReadyNode, path: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(`${node.gateway}${path}`, { headers })
  await response.arrayBuffer()
  return response.status
}

/** Waits until the path has that status on every node. */
async function everywhere(path: string, status: number, headers: Record<string, string> = {}): Promise<void> {
  await until(
    `${status} for ${path} on every node`,
    async () => {
      const statuses = await Promise.all(cluster.ready.nodes.map((node) => statusOf(node, path, headers)))
      return statuses.every((each) => each === status)
    },
    LIVE_WITHIN_MS,
  )
}

async function putList(name: string, text: string, query = ''): Promise<void> {
  await cluster.json(`/v1/denylists/${name}${query}`, {
    method: 'PUT',
    headers: { 'content-type': 'text/plain' },
    body: text,
  })
}

async function putJson<T>(path: string, method: 'PUT' | 'POST', body?: object): Promise<T> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  return await cluster.json<T>(path, { method, ...sent })
}

async function uploadSite(...files: [name: string, text: string][]): Promise<string> {
  const form = new FormData()
  for (const [name, text] of files) form.append('file', new Blob([text]), name)
  const uploaded = await cluster.json<{ cid: string; pin: { requestid: string } }>('/v1/uploads', {
    method: 'POST',
    body: form,
  })
  await cluster.pinned(uploaded.pin.requestid, 3)
  return uploaded.cid
}

test('a denylist is in force on every node within seconds, and ends as fast', async () => {
  const { cid, pin } = await cluster.upload(seededBytes(31, 100_000))
  await cluster.pinned(pin.requestid, 3)
  await everywhere(`/ipfs/${cid}`, 200)
  await putList('own', `/ipfs/${cid}\n`)
  await everywhere(`/ipfs/${cid}`, 410)
  await putList('own', `/ipfs/${cid}\n`, '?status=451')
  await everywhere(`/ipfs/${cid}`, 451)
  assert.equal((await cluster.api('/v1/denylists/own', { method: 'DELETE' })).status, 204)
  await everywhere(`/ipfs/${cid}`, 200)
})

test('what is denied is neither uploaded nor pinned, and what was pinned before stays', async () => {
  const bytes = seededBytes(34, 10_000)
  const held = await cluster.upload(seededBytes(35, 10_000))
  await cluster.pinned(held.pin.requestid, 3)
  await putList('own', `/ipfs/${rawCid(bytes).toString()}\n/ipfs/${held.cid}\n`)
  await everywhere(`/ipfs/${held.cid}`, 410)
  const refused = await cluster.api('/v1/uploads', { method: 'POST', body: Buffer.from(bytes) })
  assert.equal(refused.status, 410)
  assert.deepEqual(await failure(refused), {
    reason: 'CONTENT_DENIED',
    details: 'This content is on the denylist own.',
  })
  const { requestid } = await putJson<{ requestid: string }>('/psa/pins', 'POST', { cid: rawCid(bytes).toString() })
  const failed = await until('the pin is failed', async () => {
    const details = await cluster.details(requestid)
    return details.status === 'failed' && details
  })
  assert.ok(failed.replicas.some(({ error }) => String(error).includes('on the denylist own')))
  assert.ok(
    failed.replicas.every(({ state }) => state !== 'verified'),
    JSON.stringify(failed.replicas),
  )
  assert.equal((await cluster.details(held.pin.requestid)).status, 'pinned')
  assert.equal((await cluster.api('/v1/denylists/own', { method: 'DELETE' })).status, 204)
})

test('restricted content opens by a token or a signed URL, on every node and for children too', async () => {
  const cid = await uploadSite(['index.html', 'members'], ['inner/file.txt', 'a child of its own'])
  const path = `/ipfs/${cid}/inner/file.txt`
  const response = await fetch(`${cluster.node(0).gateway}${path}`)
  const child = response.headers.get('x-ipfs-roots')?.split(',').at(-1) ?? ''
  await putJson(`/v1/access/${cid}`, 'PUT', { anyOf: [{ token: true }, { signedUrl: true }] })
  await everywhere(path, 401)
  await everywhere(`/ipfs/${child}`, 401)
  await everywhere(`/ipfs/${child}?format=raw`, 401)

  const { token, id } = await putJson<{ token: string; id: string }>('/v1/tokens', 'POST', {
    name: 'reader',
    scopes: ['gateway:read'],
  })
  await everywhere(path, 200, { authorization: `Bearer ${token}` })
  await everywhere(`/ipfs/${child}`, 200, { authorization: `Bearer ${token}` })
  await cluster.api(`/v1/tokens/${id}`, { method: 'DELETE' })
  await everywhere(path, 403, { authorization: `Bearer ${token}` })

  const { key } = await putJson<{ key: string }>('/v1/signing-keys', 'POST')
  const expires = Math.floor(Date.now() / 1_000) + 3_600
  const signature = signUrl(Buffer.from(key, 'base64url'), `/ipfs/${cid}`, expires)
  const query = `hf-prefix=${encodeURIComponent(`/ipfs/${cid}`)}&hf-exp=${expires}&hf-sig=${signature}`
  await everywhere(`${path}?${query}`, 200)
  const [node] = cluster.ready.nodes
  assert.ok(node)
  assert.equal(await statusOf(node, `${path}?${query.replace(String(expires), String(expires + 1))}`), 403)
  const answer = await fetch(`${node.gateway}${path}?${query}`)
  assert.equal(answer.headers.get('cache-control'), 'private, no-cache')

  assert.equal((await cluster.api(`/v1/access/${cid}`, { method: 'DELETE' })).status, 204)
  await everywhere(path, 200)
  for (const { id: name } of cluster.ready.nodes) {
    const log = await readFile(join(cluster.folder, 'logs', `${name}.log`), 'utf8')
    assert.ok(!log.includes(key) && !log.includes(token) && !log.includes(signature))
  }
})

test('what is denied or restricted is not served by bitswap either', async () => {
  const [denied, restricted] = await Promise.all([1, 2].map((n) => cluster.upload(seededBytes(40 + n, 5_000))))
  assert.ok(denied && restricted)
  await Promise.all([denied, restricted].map(({ pin }) => cluster.pinned(pin.requestid, 3)))
  const origins = cluster.ready.nodes.flatMap(({ addresses }) => addresses)
  const isServed = async (cid: string): Promise<boolean> => {
    await using stranger = await openTestPeer()
    const blocks = retrieve(stranger.peer, CID.parse(cid), { origins, stallMs: 1_500, silenceMs: 500 })
    return await Array.fromAsync(blocks).then(
      () => true,
      () => false,
    )
  }
  assert.ok(await isServed(denied.cid))
  await putList('network', `/ipfs/${denied.cid}\n`)
  await putJson(`/v1/access/${restricted.cid}`, 'PUT', { token: true })
  await until('the denied block is withheld', async () => !(await isServed(denied.cid)))
  await until('the restricted block is withheld', async () => !(await isServed(restricted.cid)))
})

test('rules stay in force on a node while the control plane is away', async () => {
  const { cid, pin } = await cluster.upload(seededBytes(33, 10_000))
  await cluster.pinned(pin.requestid, 3)
  await putList('kept', `/ipfs/${cid}\n`)
  await everywhere(`/ipfs/${cid}`, 410)
  process.kill(cluster.ready.control.pid, 'SIGKILL')
  await everywhere(`/ipfs/${cid}`, 410)
})
