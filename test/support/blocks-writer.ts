import { writeSync } from 'node:fs'
import { openBlockStore } from '../../services/blocks/store.ts'
import { holdRoot, putAll, testBlocks } from './blocks.ts'

/**
 * A process that writes to a store until it is killed, and prints a line for all that was acknowledged:
 * `block <seed> <length>`, `root <first seed> <blocks> <length>`, and `releasing <first seed>` before it releases one.
 * Arguments: folder, first seed, `loose` (flushed blocks without a root) or `collect` (roots come and go, and their
 * space is given back).
 */
const [folder = '', firstSeed = '0', mode = 'loose'] = process.argv.slice(2)
const store = await openBlockStore(folder, { segmentBytes: 2_000_000 })
let seed = Number(firstSeed)

const say = (line: string): void => void writeSync(1, `${line}\n`)

/** Each writer goes on by itself; sizes differ so that syncs, slices and segments end at different instants. */
async function writeLoose(length: number): Promise<never> {
  for (;;) {
    const from = seed
    seed += 20
    await using batch = store.openBatch()
    await putAll(batch, testBlocks(20, { from, length }))
    await batch.flush()
    for (let i = from; i < from + 20; i += 1) say(`block ${i} ${length}`)
  }
}

async function writeRoots(blocks: number, length: number): Promise<never> {
  const held: { from: number; root: Awaited<ReturnType<typeof holdRoot>> }[] = []
  for (;;) {
    const from = seed
    seed += blocks
    const root = await holdRoot(store, testBlocks(blocks, { from, length }))
    say(`root ${from} ${blocks} ${length}`)
    held.push({ from, root })
    const oldest = mode === 'collect' && held.length > 3 ? held.shift() : undefined
    if (oldest === undefined) continue
    say(`releasing ${oldest.from}`)
    await store.releaseRoot(oldest.root.cid)
  }
}

async function collectForever(): Promise<never> {
  for (;;) await store.collect({ graceMs: 0 })
}

await Promise.all([
  writeRoots(3, 400),
  writeRoots(1_200, 90),
  writeRoots(7, 90_000),
  ...(mode === 'loose' ? [writeLoose(700), writeLoose(60_000)] : [collectForever()]),
])
