import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { openBlockStore } from '../../services/blocks/store.ts'
import { openTransferClient } from '../../services/transfer/client.ts'
import { replicate } from '../../services/transfer/replicate.ts'
import { seededBytes } from '../support/random-bytes.ts'
import type { CopierTask } from './copier.ts'
import { counting, isWhole, Nodes, storeFile } from './nodes.ts'

const MIB = 1_024 * 1_024

test('a node that is killed in the middle of a copy goes on where it was', async () => {
  await using nodes = await Nodes.open()
  const source = await nodes.add('source', { server: { bulkBytesPerSecond: 48 * MIB } })
  const file = await storeFile(source.store, seededBytes(21, 160 * MIB))
  const identity = await nodes.identity('copier')
  nodes.directory.roles.set(identity.publicKey, 'node')
  const address = nodes.directory.node('source')
  assert.ok(address)
  const task: CopierTask = {
    folder: join(nodes.folder, 'copier'),
    keyFile: join(nodes.folder, 'copier.pem'),
    root: file.cid.toString(),
    source: address,
  }
  for (const killAt of [60 * MIB, 110 * MIB]) await copyUntil(task, killAt)

  const store = nodes.use(await openBlockStore(task.folder))
  assert.equal(store.root(file.cid), undefined)
  const { client, bytesFrom } = counting(nodes.use(openTransferClient({ identity, directory: nodes.directory })))
  const signal = new AbortController().signal
  const options = { root: file.cid, sources: ['source'], store, client, signal, maxBytes: file.bytes }
  assert.deepEqual(await replicate(options), file)
  assert.ok(await isWhole(store, file.cid))
  // What was under way when the process died, in buffers and unsynced, is fetched again; no more.
  const fetched = bytesFrom.get('source') ?? 0
  assert.ok(fetched < 100 * MIB, `${fetched} bytes were fetched after the kills`)
})

/** Runs the copying process, and kills it once it has told of that many bytes. */
async function copyUntil(task: CopierTask, killAt: number): Promise<void> {
  const program = join(import.meta.dirname, 'copier.ts')
  const child = spawn(process.execPath, [program, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) if (Number(line) >= killAt) child.kill('SIGKILL')
  assert.deepEqual((await exit)[1], 'SIGKILL')
}
