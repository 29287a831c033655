import { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import type { BlockIndex } from './block-index.ts'
import { locate } from './block-loader.ts'
import { ROWS_PER_WRITE } from './index-writer.ts'
import { readManifest } from './manifest.ts'
import { LOST } from './rows.ts'

const ROOTS_PER_PAGE = 256

/**
 * Roots with a block whose bytes are not there. A healthy store costs one look at each block row; only when one is lost
 * are the manifests read. Lets others have their turn.
 */
export async function damagedRoots(index: BlockIndex, options: Abortable): Promise<CID[]> {
  if (!(await hasLostBlock(index, options))) return []
  const damaged: CID[] = []
  let looked = 0
  let after: Buffer | undefined
  for (;;) {
    const page = index.rootsAfter(after, ROOTS_PER_PAGE)
    for (const { key, row } of page) {
      if (looked >= ROWS_PER_WRITE) {
        looked = 0
        await nextTurn(options)
      }
      looked += row.blocks
      if (await isDamaged(index, row.serial, options)) damaged.push(CID.decode(key))
    }
    after = page.at(-1)?.key
    if (after === undefined) return damaged
  }
}

async function hasLostBlock(index: BlockIndex, options: Abortable): Promise<boolean> {
  let after: Buffer | undefined
  for (;;) {
    const page = index.blocksAfter(after, ROWS_PER_WRITE)
    if (page.some(({ row }) => row.segment === LOST && row.refs > 0)) return true
    after = page.at(-1)?.key
    if (after === undefined) return false
    await nextTurn(options)
  }
}

async function isDamaged(index: BlockIndex, serial: number, options: Abortable): Promise<boolean> {
  let looked = 0
  for (const { cid } of readManifest(index, serial, 0, Number.POSITIVE_INFINITY)) {
    if (locate(index, cid) === undefined) return true
    looked += 1
    if (looked % ROWS_PER_WRITE === 0) await nextTurn(options)
  }
  return false
}

async function nextTurn({ signal }: Abortable): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  signal?.throwIfAborted()
}
