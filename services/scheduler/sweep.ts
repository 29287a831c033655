import type { Database } from '../catalog/database.ts'
import { savePosition, type Lead } from '../catalog/leases.ts'
import { finishDrains, readNodes } from '../catalog/nodes.ts'
import { countDue, enqueueContentsAfter, enqueueContentsOf, enqueueIdle } from '../catalog/reconcile-queue.ts'
import type { StorageNode } from '../core/node.ts'
import { leastFree } from '../core/place.ts'

/** Roots that one statement asks for. */
const SLICE = 500
/** Sweeps wait while so many roots are due already: what is urgent shall not queue behind them. */
const MAX_BACKLOG = 2_000

const START = '0'

/**
 * Looks at every root from time to time, whatever events were missed: slowly as a rule, and without pause after the cluster
 * has changed, because then much can be placed better than before.
 */
export class Sweep {
  #cluster: string | undefined
  #isHurried = true
  #isFresh = true
  #sinceMs = Number.NEGATIVE_INFINITY

  /**
   * One slice, if it is time for one.
   * @returns whether the next one should follow at once
   */
  async pass(db: Database, lead: Lead, { role, everyMs }: { role: string; everyMs: number }): Promise<boolean> {
    const cluster = fingerprint(await readNodes(db))
    const hasChanged = cluster !== this.#cluster
    this.#cluster = cluster
    if (hasChanged) this.#isHurried = true
    if (hasChanged && !this.#isFresh) await savePosition(db, role, lead.epoch, START)
    const position = hasChanged && !this.#isFresh ? START : lead.position
    this.#isFresh = false
    const isDue = this.#isHurried || performance.now() - this.#sinceMs >= everyMs
    if (!isDue || (await countDue(db, MAX_BACKLOG)) >= MAX_BACKLOG) return false
    this.#sinceMs = performance.now()
    const next = await enqueueContentsAfter(db, position, SLICE)
    await savePosition(db, role, lead.epoch, next ?? START)
    if (next === undefined) this.#isHurried = false
    return this.#isHurried
  }
}

/** What placement depends on, of all nodes together. */
function fingerprint(nodes: readonly StorageNode[]): string {
  return JSON.stringify(
    nodes.map(({ id, state, liveness, labels, refusal, freeBytes, capacityBytes }) => [
      id,
      state,
      liveness,
      labels,
      refusal === null,
      freeBytes >= leastFree(capacityBytes),
    ]),
  )
}

/** Asks, round after round, for what draining nodes still hold: a slice of each node in a pass. */
export class DrainSweep {
  #positions = new Map<number, string>()

  async pass(db: Database): Promise<void> {
    const next = new Map<number, string>()
    for (const nodeId of await finishDrains(db)) {
      const after = this.#positions.get(nodeId) ?? START
      next.set(nodeId, (await enqueueContentsOf(db, nodeId, after, SLICE)) ?? START)
    }
    this.#positions = next
  }
}

/** Asks for contents whose grace time is over: as many as the queue takes, the rest with the next pass. */
export async function sweepIdle(db: Database, graceMs: number): Promise<void> {
  let after: string | undefined = START
  while (after !== undefined && (await countDue(db, MAX_BACKLOG)) < MAX_BACKLOG) {
    after = await enqueueIdle(db, after, { graceMs, limit: SLICE })
  }
}
