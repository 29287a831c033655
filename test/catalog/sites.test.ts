import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EXIT } from '../../services/cli/exit-codes.ts'
import { releaseVersions } from '../../services/catalog/follows-release.ts'
import { startFollower } from '../../services/republisher/follower.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { addNode } from '../support/node-rows.ts'
import { cidOf } from '../support/pins.ts'
import { settlePinsOf } from '../support/pinned.ts'
import { runCli, type Ran } from '../support/run-cli.ts'
import { until } from '../support/until.ts'
import { failure, memoryLog } from '../support/web.ts'

interface Site {
  site: string
  name: string
  url: string | null
  value: string | null
  sequence: string
  keep: number
  versions: { sequence: string; value: string; url: string | null; pin: { requestid: string } | null }[]
}

function cid(text: string): string {
  return cidOf(text).toString()
}

async function pinned(api: TestApi, text: string): Promise<string> {
  const { requestid } = await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid: cid(text) } })
  await settlePinsOf(api.db, [text])
  return requestid
}

function post(api: TestApi, site: string, body: object, token = api.token): Promise<Response> {
  return api.send('POST', `/v1/sites/${site}/versions`, { body, token })
}

async function published(api: TestApi, site: string, body: object): Promise<Site> {
  return await api.json<Site>('POST', `/v1/sites/${site}/versions`, { body })
}

/** Whatever is pinned, in the order of names. */
async function pins(api: TestApi): Promise<string[]> {
  const path = '/psa/pins?status=queued,pinning,pinned,failed'
  const { results } = await api.json<{ results: { requestid: string }[] }>('GET', path)
  return results.map(({ requestid }) => requestid).sort()
}

/** Runs a follower while `work` runs. */
async function followed(api: TestApi, work: () => Promise<unknown>): Promise<void> {
  const stop = new AbortController()
  const { db, wakes } = api
  const ended = startFollower({ db, wakes, links: {}, log: memoryLog().log, everyMs: 20, signal: stop.signal })
  try {
    await work()
  } finally {
    stop.abort()
    await ended
  }
}

test('a site is made with its first version, goes on to the next, and back under a higher sequence', async () => {
  await using api = await openTestApi()
  await addNode(api.db, { name: 'shanghai-1', region: 'shanghai' })
  const [one, two] = [await pinned(api, 'one'), await pinned(api, 'two')]
  const first = await published(api, 'my-site', { pin: one })
  assert.deepEqual([first.site, first.sequence, first.value, first.keep], ['my-site', '1', `/ipfs/${cid('one')}`, 5])
  assert.equal(first.url, `http://${first.name}.ipns.localhost:1/`)
  assert.equal((await published(api, 'my-site', { pin: two, keep: 3 })).keep, 3)
  const back = await published(api, 'my-site', { pin: one, sequence: '2' })
  assert.deepEqual([back.name, back.sequence, back.keep], [first.name, '3', 3])
  assert.deepEqual(
    back.versions.map(({ sequence, value, url, pin }) => [sequence, value, url, pin?.requestid]),
    [one, two, one].map((pin, index) => {
      const root = cid(pin === one ? 'one' : 'two')
      return [String(3 - index), `/ipfs/${root}`, `http://${root}.ipfs.localhost:1/`, pin]
    }),
  )
  const { sites } = await api.json<{ sites: Site[] }>('GET', '/v1/sites')
  assert.deepEqual(
    sites.map(({ site, value }) => [site, value]),
    [['my-site', `/ipfs/${cid('one')}`]],
  )
})

test('nothing is published before it is pinned, by anybody else, or by whoever is too late', async () => {
  await using api = await openTestApi()
  const { requestid } = await api.json<{ requestid: string }>('POST', '/psa/pins', { body: { cid: cid('slow') } })
  assert.equal((await failure(await post(api, 'early', { pin: requestid }))).reason, 'CONFLICT')
  assert.equal((await api.send('GET', '/v1/names/early')).status, 404, 'no name is left of it')
  const one = await pinned(api, 'one')
  assert.equal((await post(api, 'theirs', { pin: one }, api.otherToken)).status, 404)
  assert.equal((await failure(await post(api, 'Bad Name', { pin: one }))).reason, 'BAD_REQUEST')
  await published(api, 'mine', { pin: one })
  const late = await post(api, 'mine', { pin: await pinned(api, 'two'), sequence: '7' })
  assert.equal((await failure(late)).reason, 'CONFLICT')
  assert.equal((await api.json<Site>('GET', '/v1/sites/mine')).value, `/ipfs/${cid('one')}`)
  assert.equal((await api.send('GET', '/v1/sites/mine', { token: api.otherToken })).status, 404)
  assert.equal((await post(api, 'mine', { pin: one }, await api.tokenWith('names:read'))).status, 403)
})

test('old versions are released once the new one is live; the same content twice is one pin', async () => {
  await using api = await openTestApi()
  await followed(api, async () => {
    const [a, b] = [await pinned(api, 'a'), await pinned(api, 'b')]
    await published(api, 'site', { pin: a, keep: 2 })
    await published(api, 'site', { pin: b })
    const again = await pinned(api, 'b')
    await published(api, 'site', { pin: again })
    await until('one pin of b', async () => (await pins(api)).join() === [a, again].sort().join())
    const c = await pinned(api, 'c')
    const { versions } = await published(api, 'site', { pin: c })
    assert.equal(versions.length, 4)
    await until('two versions', async () => (await pins(api)).join() === [again, c].sort().join())
    const kept = (await api.json<Site>('GET', '/v1/sites/site')).versions.map(({ pin }) => pin?.requestid)
    assert.deepEqual(kept, [c, again, again, undefined])
  })
})

test('what is live keeps its pin however long nobody has looked at the name', async () => {
  await using api = await openTestApi()
  const [a, b] = [await pinned(api, 'a'), await pinned(api, 'b')]
  await published(api, 'site', { pin: a, keep: 1 })
  await followed(api, () => until('a look', async () => (await reserved(api)) === 0))
  await published(api, 'site', { pin: b })
  await api.db.run(
    `update follow_version set reserved_at = reserved_at - interval '1 h', current_at = current_at - interval '1 h'`,
  )
  const { released } = await releaseVersions(api.db, { limit: 10, pauseMs: 0 })
  assert.equal(released, 0)
  await followed(api, () => until('b alone', async () => (await pins(api)).join() === b))
})

async function reserved(api: TestApi): Promise<number> {
  return (await api.db.query('select from follow_version where reserved_at is not null')).length
}

test('a pin that two sites name stays for as long as one of them keeps it', async () => {
  await using api = await openTestApi()
  const [shared, next] = [await pinned(api, 'shared'), await pinned(api, 'next')]
  const first = await published(api, 'first', { pin: shared, keep: 1 })
  const second = await published(api, 'second', { pin: shared, keep: 1 })
  await followed(api, async () => {
    await published(api, 'first', { pin: next, keep: 1 })
    await until('that the first keeps it no more', async () => {
      const { versions } = await api.json<Site>('GET', '/v1/sites/first')
      return versions.at(-1)?.pin === null
    })
  })
  assert.deepEqual(await pins(api), [shared, next].sort())
  assert.equal((await api.send('DELETE', `/v1/follows/${second.name}`)).status, 204)
  assert.deepEqual(await pins(api), [next])
  assert.equal((await api.send('DELETE', `/v1/follows/${first.name}`)).status, 204)
  assert.deepEqual(await pins(api), [])
})

test('what is published by hand is kept as well', async () => {
  await using api = await openTestApi()
  await followed(api, async () => {
    await published(api, 'site', { pin: await pinned(api, 'deployed') })
    await api.json('PUT', '/v1/names/site', { body: { value: cid('by hand') } })
    await until('a pin of it', async () => {
      const [newest] = (await api.json<Site>('GET', '/v1/sites/site')).versions
      return newest?.value === `/ipfs/${cid('by hand')}` && newest.pin !== null
    })
  })
})

interface Domain {
  record: { name: string; type: string; value: string }
  found: string | null
  state: string
}

test('a domain is right, frozen, wrong or missing, and the record that it needs is named', async () => {
  const texts = new Map<string, string>()
  await using api = await openTestApi({
    lookUpTxt: async (domain) => (texts.has(domain) ? [{ text: texts.get(domain) ?? '' }] : []),
  })
  const { name } = await published(api, 'site', { pin: await pinned(api, 'one') })
  const check = (): Promise<Domain> => api.json<Domain>('GET', '/v1/sites/site/domains/WWW.Example.Org')
  const missing = await check()
  assert.deepEqual(missing.record, { name: '_dnslink.www.example.org', type: 'TXT', value: `dnslink=/ipns/${name}` })
  assert.equal(missing.state, 'missing')
  for (const [value, state] of [
    [`dnslink=/ipfs/${cid('one')}`, 'frozen'],
    [`dnslink=/ipfs/${cid('two')}`, 'wrong'],
    [`dnslink=/ipns/${name}/below`, 'wrong'],
    [missing.record.value, 'right'],
  ] as const) {
    texts.set(missing.record.name, value)
    assert.equal((await check()).state, state, value)
  }
  assert.equal((await failure(await api.send('GET', '/v1/sites/site/domains/nonsense'))).reason, 'INVALID_NAME')
  const ran = await holdfast(api, 'site', 'domain', 'check', 'www.example.org', '--quiet')
  assert.deepEqual([ran.exitCode, ran.stdout], [EXIT.ok, 'right\n'])
  texts.clear()
  const unset = await holdfast(api, 'site', 'domain', 'check', 'www.example.org')
  assert.equal(unset.exitCode, EXIT.failure)
  assert.match(unset.stderr, new RegExp(`Set the TXT record of _dnslink.www.example.org to "dnslink=/ipns/${name}"`))
})

function holdfast(api: TestApi, ...words: string[]): Promise<Ran> {
  return runCli(words, { environment: { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: api.token } })
}

test('sites on the command line: listed, gone back to, and what cannot be done said', async () => {
  await using api = await openTestApi()
  await published(api, 'site', { pin: await pinned(api, 'one') })
  assert.equal((await holdfast(api, 'site', 'rollback', 'site')).exitCode, EXIT.notFound, 'there is no earlier one')
  const two = await pinned(api, 'two')
  await published(api, 'site', { pin: two })
  const back = await holdfast(api, 'site', 'rollback', 'site', '--quiet')
  assert.deepEqual([back.exitCode, back.stdout], [EXIT.ok, `${cid('one')}\n`])
  const forth = await holdfast(api, 'site', 'rollback', 'site', '--to', '2', '--json')
  assert.deepEqual([forth.exitCode, (JSON.parse(forth.stdout) as Site).sequence], [EXIT.ok, '4'])
  assert.equal((await holdfast(api, 'site', 'rollback', 'site', '--to', '9')).exitCode, EXIT.notFound)
  const history = await holdfast(api, 'site', 'history', 'site', '--quiet')
  const paths = ['two', 'one', 'two', 'one'].map((text) => `/ipfs/${cid(text)}\n`)
  assert.equal(history.stdout, paths.join(''))
  assert.equal((await holdfast(api, 'site', 'ls', '--quiet')).stdout, 'site\n')
  assert.equal((await holdfast(api, 'site', 'history', 'none')).exitCode, EXIT.notFound)
  assert.equal((await holdfast(api, 'site', 'rollback', 'site', '--token', 'wrong')).exitCode, EXIT.auth)
})

test('a deploy of what is no folder, or without a name, is refused before anything is sent', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-deploy-'))
  try {
    await writeFile(join(folder, 'file'), 'x')
    const url = ['--url', 'http://127.0.0.1:1']
    for (const words of [[folder], [join(folder, 'file'), '--name', 's'], [folder, '--name', 's', '--keep', '0']]) {
      assert.equal((await runCli(['deploy', ...words, ...url])).exitCode, EXIT.usage, words.join(' '))
    }
    assert.equal((await runCli(['deploy', folder, '--name', 's', ...url])).exitCode, EXIT.unreachable)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('names are followed and forgotten on the command line', async () => {
  await using api = await openTestApi()
  const added = await holdfast(api, 'follow', 'add', 'ipns://Docs.Example', '--every', '1h', '--keep', '2')
  assert.deepEqual([added.exitCode, added.stdout], [EXIT.ok, 'docs.example\n'])
  const listed = await holdfast(api, 'follow', 'ls', '--json')
  const [{ keep, everySeconds }] = JSON.parse(listed.stdout) as [{ keep: number; everySeconds: number }]
  assert.deepEqual([keep, everySeconds], [2, 3_600])
  assert.equal((await holdfast(api, 'follow', 'get', 'docs.example')).exitCode, EXIT.ok)
  assert.equal((await holdfast(api, 'follow', 'rm', 'docs.example')).exitCode, EXIT.ok)
  assert.equal((await holdfast(api, 'follow', 'get', 'docs.example')).exitCode, EXIT.notFound)
  assert.equal((await holdfast(api, 'follow', 'add', 'vitalik.eth')).exitCode, EXIT.failure)
})
