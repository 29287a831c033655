import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifyIpnsRecord } from '../../services/naming/ipns-record.ts'
import { newerRecord } from '../../services/naming/newer-record.ts'
import { openRecordStore } from '../../services/naming/record-store.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { failsWith } from '../support/dag.ts'
import { NOW_MS, recordOf } from '../support/naming.ts'

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-records-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

test('a record comes back as it was received, also after the store was opened again', async () => {
  await using folder = await temporaryFolder()
  for (const type of ['ed25519', 'rsa'] as const) {
    const key = generateSigningKey(type)
    const record = recordOf(key)
    const store = await openRecordStore(folder.path)
    assert.equal(await store.get(key.name, {}), undefined)
    await store.put(key.name, record)
    const again = await openRecordStore(folder.path)
    assert.deepEqual(await again.get(key.name, {}), Buffer.from(record.bytes))
    assert.equal(again.size, store.size)
  }
})

test('only a newer record takes the place of another, whatever the order and however many at once', async () => {
  await using folder = await temporaryFolder()
  const records = fc.array(
    fc.record({ sequence: fc.bigInt(0n, 3n), validUntilMs: fc.integer({ min: NOW_MS, max: NOW_MS + 2 }) }),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  const store = await openRecordStore(folder.path)
  await fc.assert(
    fc.asyncProperty(records, async (wanted) => {
      const key = generateSigningKey()
      const made = wanted.map((fields) => recordOf(key, fields))
      await Promise.all(made.map((record) => store.put(key.name, record)))
      assert.deepEqual(await store.get(key.name, {}), Buffer.from(made.reduce(newerRecord).bytes))
    }),
    { numRuns: 30 },
  )
})

test('a put answers the newest record', async () => {
  await using folder = await temporaryFolder()
  const store = await openRecordStore(folder.path)
  const key = generateSigningKey()
  const [old, next] = [recordOf(key, { sequence: 1n }), recordOf(key, { sequence: 2n })]
  assert.equal(await store.put(key.name, next), next)
  assert.equal((await store.put(key.name, old)).sequence, 2n)
  await store.delete(key.name)
  await store.delete(key.name)
  assert.equal(store.size, 0)
  assert.equal(await store.put(key.name, old), old)
})

test('a full store refuses further names but not newer records, and gives up records that have ended', async () => {
  await using folder = await temporaryFolder()
  const clock = { nowMs: NOW_MS }
  const store = await openRecordStore(folder.path, { maxNames: 1, nowMs: () => clock.nowMs })
  const [first, second] = sameShelf()
  await store.put(first.name, recordOf(first, { validUntilMs: NOW_MS + 10 }))
  await store.put(first.name, recordOf(first, { validUntilMs: NOW_MS + 20 }))
  await assert.rejects(store.put(second.name, recordOf(second)), failsWith('STORAGE_FULL'))
  clock.nowMs += 21
  await store.put(second.name, recordOf(second))
  assert.equal(await store.get(first.name, {}), undefined)
  assert.equal(store.size, 1)
})

/** Two keys whose names end alike, and so lie side by side. */
function sameShelf() {
  const seen = new Map<string, ReturnType<typeof generateSigningKey>>()
  for (;;) {
    const key = generateSigningKey()
    const other = seen.get(key.name.text.slice(-2))
    if (other !== undefined) return [other, key] as const
    seen.set(key.name.text.slice(-2), key)
  }
}

test('a record that the disk damaged is replaced by any other', async () => {
  await using folder = await temporaryFolder()
  const store = await openRecordStore(folder.path)
  const key = generateSigningKey()
  await store.put(key.name, recordOf(key, { sequence: 9n }))
  await writeFile(join(folder.path, key.name.text.slice(-2), key.name.text), 'noise')
  const record = recordOf(key, { sequence: 1n })
  assert.equal(await store.put(key.name, record), record)
  assert.equal(store.size, 1)
})

test('what a crash left half-written is gone after the start', async () => {
  await using folder = await temporaryFolder()
  await openRecordStore(folder.path)
  await writeFile(join(folder.path, 'incoming', 'half'), 'half')
  const store = await openRecordStore(folder.path)
  assert.equal(store.size, 0)
  assert.deepEqual(await readdir(join(folder.path, 'incoming')), [])
})

test('files that are not of the store are left alone and not counted', async () => {
  await using folder = await temporaryFolder()
  const key = generateSigningKey()
  await writeFile(join(folder.path, 'notes'), '')
  await (await openRecordStore(folder.path)).put(key.name, recordOf(key))
  await writeFile(join(folder.path, key.name.text.slice(-2), 'notes'), '')
  const store = await openRecordStore(folder.path, { maxNames: 1 })
  assert.equal(store.size, 1)
  assert.equal((await store.put(key.name, recordOf(key, { sequence: 2n }))).sequence, 2n)
  await readFile(join(folder.path, 'notes'))
})

test('a folder that cannot be written is a failure with a code', async () => {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'file'), '')
  await assert.rejects(openRecordStore(join(folder.path, 'file')), failsWith('STORAGE_FAILED'))
})

test('after kill -9 each record that was acknowledged, or a newer one, is there and valid', async () => {
  await using folder = await temporaryFolder()
  const key = generateSigningKey()
  const writer = new URL('../support/naming-writer.ts', import.meta.url).pathname
  for (let crash = 1; crash <= 3; crash++) {
    const secret = Buffer.from(key.exportSecret()).toString('hex')
    const child = spawn(process.execPath, [writer, folder.path, secret], { stdio: ['ignore', 'pipe', 'inherit'] })
    let acknowledged = 0n
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = BigInt(line)
      if (acknowledged >= 20n * BigInt(crash)) child.kill('SIGKILL')
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    const store = await openRecordStore(folder.path)
    const bytes = await store.get(key.name, {})
    assert.ok(bytes !== undefined)
    assert.ok(verifyIpnsRecord(key.name, bytes).sequence >= acknowledged)
    assert.equal(store.size, 1)
  }
})
