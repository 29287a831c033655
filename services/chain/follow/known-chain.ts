import type { ChainBlock } from '../pin-block.ts'

/** Blocks without a gap below the newest one that are remembered. */
const RING = 256n
/** Below them one of so many. */
const SPARSE = 1_000n

/**
 * Those of known blocks that are to be remembered: the newest ones, and of older ones the first of each thousand.
 * @param blocks ascending
 */
export function blocksToKeep<Block extends Pick<ChainBlock, 'number'>>(blocks: readonly Block[]): Block[] {
  const newest = blocks.at(-1)?.number ?? 0n
  let thousand = -1n
  return blocks.filter(({ number }) => {
    const isFirst = number / SPARSE > thousand
    if (isFirst) thousand = number / SPARSE
    return isFirst || number > newest - RING
  })
}

/**
 * The newest of the known blocks that is still on the chain; undefined when none is. A chain that has a block has those
 * before it, so that few are looked at: one, two, four... back from the newest, then by halving.
 * @param blocks ascending
 */
export async function newestOnChain(
  blocks: readonly ChainBlock[],
  isOnChain: (block: ChainBlock) => Promise<boolean>,
): Promise<ChainBlock | undefined> {
  let [on, off] = [-1, blocks.length]
  for (let step = 1; off > 0 && on === -1; step *= 2) {
    const place = Math.max(0, off - step)
    if (await isOnChain(blocks[place] as ChainBlock)) on = place
    else off = place
  }
  while (off - on > 1) {
    const middle = Math.floor((on + off) / 2)
    if (await isOnChain(blocks[middle] as ChainBlock)) on = middle
    else off = middle
  }
  return blocks[on]
}
