import { openBlockReader } from '../../services/blocks/reader.ts'
import { testBlock, type TestBlock } from './blocks.ts'

/**
 * A process that reads blocks of a store over and over, until it is told to stop; it then tells whether every read was
 * right. Arguments: folder, first seed, end of seeds, step.
 */
const [folder = '', from = '0', to = '0', step = '1'] = process.argv.slice(2)
const blocks: TestBlock[] = []
for (let seed = Number(from); seed < Number(to); seed += Number(step)) blocks.push(testBlock(seed))

const stop = new AbortController()
process.once('message', () => stop.abort())
await using reader = await openBlockReader(folder)
process.send?.('reading')
let outcome = 'ok'
while (!stop.signal.aborted && outcome === 'ok') outcome = await readAll()
process.send?.(outcome)
process.disconnect()

async function readAll(): Promise<string> {
  for (const { cid, bytes } of blocks) {
    try {
      const read = await reader.get(cid)
      if (read === undefined || Buffer.compare(read, bytes) !== 0) return `${cid.toString()} is missing or wrong`
    } catch (error) {
      return String(error)
    }
  }
  return 'ok'
}
