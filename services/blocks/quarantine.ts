import type { CID } from 'multiformats/cid'
import type { BlockIndex } from './block-index.ts'
import type { IndexWriter } from './index-writer.ts'
import { keyOf } from './key.ts'
import { LOST, type BlockRow } from './rows.ts'
import { Tally } from './tally.ts'

/**
 * Takes a block whose bytes at that place do not match out of the index, unless it is elsewhere by now. Counts are
 * kept: when the block is put again, every root that counts it is whole again. Its record is never written to; it goes
 * with its segment.
 * @returns whether it was taken out
 */
export async function quarantine(
  { index, writer }: { index: BlockIndex; writer: IndexWriter },
  cid: CID,
  seen: BlockRow,
): Promise<boolean> {
  const key = keyOf(cid)
  return await writer.write(1, () => {
    const row = index.block(key)
    if (row === undefined || row.segment !== seen.segment || row.offset !== seen.offset) return false
    const tally = new Tally(index)
    tally.removed(row)
    if (row.refs === 0) index.removeBlock(key)
    else index.putBlock(key, { ...row, segment: LOST, offset: 0 })
    tally.apply({})
    return true
  })
}
