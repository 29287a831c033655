import type { BlockStore } from '../blocks/contract.ts'
import { cidKey } from '../core/cid.ts'
import { MINUTE_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { loop, pause } from '../runtime/loop.ts'
import type { Outbox } from './outbox.ts'

/** What is left of the damage is told again so soon: a copy that was being read back meanwhile was not doubted. */
const AGAIN_MS = 5 * MINUTE_MS
/** Blocks that are found spoiled within this time are told together. */
const GATHER_MS = 100

/**
 * Tells the control plane of roots that this disk has damaged, so that it stops counting them and has them made whole: at
 * the start what an earlier process left, then whatever `get`, `sections` and `verifyRoot` find.
 */
export class DamageWatch {
  #found: () => void = () => {}
  #isFound = true

  /** A block was quarantined. */
  readonly found = (): void => {
    this.#isFound = true
    this.#found()
  }

  async run(
    store: Pick<BlockStore, 'damagedRoots'>,
    { outbox, log, signal }: { outbox: Outbox; log: Log; signal: AbortSignal },
  ): Promise<void> {
    let isDamaged = false
    const pass = async (): Promise<boolean> => {
      await this.#wait(isDamaged ? AGAIN_MS : undefined, signal)
      await pause(GATHER_MS, signal)
      if (signal.aborted) return false
      this.#isFound = false
      const roots = await store.damagedRoots({ signal })
      isDamaged = roots.length > 0
      if (isDamaged) log.warn({ roots: roots.length }, 'the disk has spoiled blocks; the copies are to be made whole')
      outbox.addDamaged(roots.map(cidKey))
      return true
    }
    await loop('damage', pass, { everyMs: GATHER_MS, log, signal })
  }

  /** Until something is found, the time is over, or aborted. */
  async #wait(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.#isFound || signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const onAbort = (): void => resolve()
    this.#found = resolve
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
    signal.addEventListener('abort', onAbort, { once: true })
    await promise
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
