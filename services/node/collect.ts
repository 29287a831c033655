import type { BlockStore } from '../blocks/contract.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'

/** Gives back, again and again until aborted, the space of blocks that no root has wanted for the grace time. */
export async function collectLoop(
  store: Pick<BlockStore, 'collect'>,
  { graceMs, everyMs, log, signal }: { graceMs: number; everyMs: number; log: Log; signal: AbortSignal },
): Promise<void> {
  const pass = async (): Promise<void> => {
    const collected = await store.collect({ graceMs, signal })
    if (collected.blocks > 0) log.info(collected, 'space was given back')
  }
  await loop('collect', pass, { everyMs, log, signal })
}
