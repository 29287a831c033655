import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { openDatabase } from '../../services/catalog/database.ts'
import { startEmbedded, type EmbeddedServer } from '../../services/catalog/embedded.ts'
import { migrate } from '../../services/catalog/migrate.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { hasCode } from '../../services/core/errors.ts'
import { assertCountsAreExact } from '../support/catalog-invariants.ts'
import { eventually } from '../support/eventually.ts'
import { newPin } from '../support/pins.ts'

/** A folder below one that only we may pass through, as temporary folders and /root are. */
async function newFolder(): Promise<{ folder: string } & AsyncDisposable> {
  const outer = await mkdtemp(join(tmpdir(), 'holdfast-embedded-'))
  return {
    folder: join(outer, 'postgres'),
    [Symbol.asyncDispose]: () => rm(outer, { recursive: true, force: true, maxRetries: 3 }),
  }
}

async function start(folder: string): Promise<EmbeddedServer & AsyncDisposable> {
  const server = await startEmbedded({ folder })
  return { ...server, [Symbol.asyncDispose]: () => server.stop() }
}

async function postmasterOf(folder: string): Promise<number> {
  return Number((await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Another process that owns the server; resolves when the server is there. */
async function startOwner(folder: string): Promise<{ owner: ChildProcess; url: string }> {
  const program = join(import.meta.dirname, '../support/embedded-owner.ts')
  const owner = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [url] = (await once(createInterface(owner.stdout), 'line')) as [string]
  return { owner, url }
}

test('the server starts on an empty folder, keeps its rows over a restart, and its secrets to itself', async () => {
  await using place = await newFolder()
  const { folder } = place
  {
    await using server = await start(folder)
    await using db = openDatabase(server.url)
    await db.run('create table kept (word text)')
    await db.run(`insert into kept values ('still here')`)
    const [settings] = await db.query(
      `select current_setting('fsync') as fsync, current_setting('listen_addresses') as addresses,
              current_setting('unix_socket_directories') as sockets, current_setting('synchronous_commit') as commit`,
    )
    assert.deepEqual(settings, { fsync: 'on', addresses: '127.0.0.1', sockets: '', commit: 'on' })
    const wrong = openDatabase(server.url.replace(/:[^:@]+@/, ':guess@'))
    await assert.rejects(wrong.query('select 1'), { code: '28P01' })
    await wrong[Symbol.asyncDispose]()
  }
  assert.equal((await stat(folder)).mode & 0o077, 0)
  assert.equal((await stat(join(folder, 'data', 'holdfast.password'))).mode & 0o777, 0o600)
  await using server = await start(folder)
  await using db = openDatabase(server.url)
  assert.deepEqual(await db.query('select word from kept'), [{ word: 'still here' }])
})

test('a process that is killed leaves no server behind', async () => {
  await using place = await newFolder()
  const { owner } = await startOwner(place.folder)
  const postmaster = await postmasterOf(place.folder)
  assert.ok(isAlive(postmaster))
  owner.kill('SIGKILL')
  await eventually('the server is gone', () => !isAlive(postmaster))
})

test('a second process joins the server that runs, and takes it over when its owner is killed', async () => {
  await using place = await newFolder()
  const { owner, url } = await startOwner(place.folder)
  const postmaster = await postmasterOf(place.folder)
  await using server = await start(place.folder)
  assert.equal(server.url, url)
  assert.equal(await postmasterOf(place.folder), postmaster)
  await using db = openDatabase(server.url)
  assert.deepEqual(await db.query('select 1 as one'), [{ one: 1 }])

  owner.kill('SIGKILL')
  await eventually('the server of the killed process is gone', () => !isAlive(postmaster))
  await eventually('ours answers', () => db.query('select 1').then(Boolean, () => false))
  assert.notEqual(await postmasterOf(place.folder), postmaster)
})

test('right after its owner was killed, a new process gets the server that stays', async () => {
  await using place = await newFolder()
  const { owner } = await startOwner(place.folder)
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  await using server = await start(place.folder)
  await using db = openDatabase(server.url)
  await eventually('it answers', () => db.query('select 1').then(Boolean, () => false))
})

test('a folder of another major version is refused, with the way out', async () => {
  await using place = await newFolder()
  await mkdir(join(place.folder, 'data'), { recursive: true })
  await writeFile(join(place.folder, 'data', 'PG_VERSION'), '14\n')
  await assert.rejects(startEmbedded({ folder: place.folder }), {
    code: 'CONFIG',
    message: /PostgreSQL 14.*DATABASE_URL/,
  })
})

test('a port that somebody else took is replaced by another', async () => {
  await using place = await newFolder()
  const { folder } = place
  await (await startEmbedded({ folder })).stop()
  await using thief = createServer().listen(Number(await readFile(join(folder, 'port'), 'utf8')), '127.0.0.1')
  await once(thief, 'listening')
  await using server = await start(folder)
  await using db = openDatabase(server.url)
  assert.deepEqual(await db.query('select 1 as one'), [{ one: 1 }])
})

test('when the server is killed while pins come in, it is back by itself and every acknowledged pin is there', async () => {
  await using place = await newFolder()
  await using server = await start(place.folder)
  await using db = openDatabase(server.url)
  await migrate(db)
  await ensureDefaultPolicy(db)
  const tenant = await ensureTenant(db, 'alice')
  const acceptor = createPinAcceptor(db)
  const acknowledged: string[] = []
  const refusals: unknown[] = []
  const stopped = new AbortController()
  const caller = async (index: number): Promise<void> => {
    for (let round = 0; !stopped.signal.aborted; round++) {
      await acceptor.accept(tenant, newPin(`root ${index} ${round % 50}`)).then(
        ({ id }) => acknowledged.push(id),
        (error: unknown) => refusals.push(error),
      )
    }
  }
  const callers = Array.from({ length: 8 }, (_, index) => caller(index))
  for (let kills = 0; kills < 3; kills++) {
    const [before, refusedBefore] = [acknowledged.length, refusals.length]
    await eventually('pins come in', () => acknowledged.length > before + 200)
    process.kill(await postmasterOf(place.folder), 'SIGKILL')
    await eventually('callers notice', () => refusals.length > refusedBefore)
  }
  const before = acknowledged.length
  await eventually('pins come in again', () => acknowledged.length > before + 100)
  stopped.abort()
  await Promise.all(callers)
  for (const error of refusals)
    assert.ok(hasCode(error, 'UNAVAILABLE') && error.retryAfterSeconds !== undefined, String(error))
  const [kept] = await db.query('select count(*)::int as pins from pin where id = any ($1)', [acknowledged])
  assert.deepEqual(kept, { pins: acknowledged.length })
  await assertCountsAreExact(db)
})
