import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { assertSame, holdRoot, temporaryFolder, testBlock } from '../support/blocks.ts'

/** How often a writer is killed. Instants are drawn anew in every run; a longer campaign only needs a larger number. */
const KILLS = 16

interface Acknowledged {
  blocks: Map<number, number>
  roots: Map<number, { blocks: number; length: number }>
}

/** Runs a writer until it has acknowledged `lines` times, kills it wherever it then is, and keeps all it had said. */
async function writeUntilKilled(
  folder: string,
  options: { firstSeed: number; mode: string; lines: number },
  acknowledged: Acknowledged,
): Promise<void> {
  const script = join(import.meta.dirname, '../support/blocks-writer.ts')
  const args = [script, folder, String(options.firstSeed), options.mode]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  let lines = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, ...numbers] = line.split(' ')
    const [seed = 0, count = 0, length = 0] = numbers.map(Number)
    if (what === 'block') acknowledged.blocks.set(seed, count)
    if (what === 'root') acknowledged.roots.set(seed, { blocks: count, length })
    if (what === 'releasing') acknowledged.roots.delete(seed)
    lines += 1
    if (lines === options.lines) setTimeout(() => child.kill('SIGKILL'), Math.random() * 60)
  }
  const [, signal] = (await closed) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL', 'the writer failed by itself')
}

async function assertAllThere(store: BlockStore, acknowledged: Acknowledged): Promise<void> {
  for (const [seed, length] of acknowledged.blocks) {
    const block = testBlock(seed, length)
    assertSame(await store.get(block.cid), block.bytes)
  }
  for (const [seed, { blocks, length }] of acknowledged.roots) {
    const check = await store.verifyRoot(testBlock(seed, length).cid)
    assert.deepEqual(check, { blocks, bytes: blocks * length, bad: [] }, `root ${seed}`)
  }
}

for (const mode of ['loose', 'collect']) {
  test(`what a writer acknowledged is there and valid after kill -9 at any instant (${mode})`, async () => {
    await using folder = await temporaryFolder()
    const roots: Acknowledged['roots'] = new Map()
    for (let kill = 0; kill < KILLS / 2; kill += 1) {
      const acknowledged: Acknowledged = { blocks: new Map(), roots }
      const lines = 1 + Math.floor(Math.random() * 60)
      await writeUntilKilled(folder.path, { firstSeed: kill * 10_000_000, mode, lines }, acknowledged)
      await using store = await openBlockStore(folder.path)
      await assertAllThere(store, acknowledged)
    }
    await assertCountsAreExact(folder.path)
  })
}

/** When all roots are released, nothing may be left: no count was lost or kept by a crash. */
async function assertCountsAreExact(folder: string): Promise<void> {
  await using store = await openBlockStore(folder)
  for (const { cid } of store.roots()) await store.releaseRoot(cid)
  await store[Symbol.asyncDispose]()
  // Closing waited for what was still to be undone.
  await using again = await openBlockStore(folder)
  await again.collect({ graceMs: 0 })
  const { blocks, storedBytes } = again.space()
  assert.deepEqual({ blocks, storedBytes }, { blocks: 0, storedBytes: 0 })
  const root = await holdRoot(again, [testBlock(1)])
  assert.deepEqual((await again.verifyRoot(root.cid))?.bad, [])
}
