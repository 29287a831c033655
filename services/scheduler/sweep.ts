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
 * Looks at every root from time to time, whatever events were missed: slowly as a rule, and without pause for one round
 * after the cluster has changed, because then much can be placed better than before. The round begins where the sweep is:
 * a cluster that changes all the time would otherwise keep it from ever coming to the end.
 */
export class Sweep {
  #cluster: string | undefined
  /** The present round without pause: it ends when the sweep has come by the end, and then to this place again. */
  #round: { from: string; hasComeBy: boolean } | undefined
  #sinceMs = Number.NEGATIVE_INFINITY

  /**
   * One slice, if it is time for one.
   * @returns whether the next one should follow at once
   */
  async pass(db: Database, lead: Lead, { role, everyMs }: { role: string; everyMs: number }): Promise<boolean> {
    const cluster = fingerprint(await readNodes(db))
    if (cluster !== this.#cluster) this.#round = { from: lead.position, hasComeBy: lead.position === START }
    this.#cluster = cluster
    const isDue = this.#round !== undefined || performance.now() - this.#sinceMs >= everyMs
    if (!isDue || (await countDue(db, MAX_BACKLOG)) >= MAX_BACKLOG) return false
    this.#sinceMs = performance.now()
    const next = await enqueueContentsAfter(db, lead.position, SLICE)
    await savePosition(db, role, lead.epoch, next ?? START)
    this.#goOn(next)
    return this.#round !== undefined
  }

  #goOn(next: string | undefined): void {
    if (this.#round === undefined) return
    const { from, hasComeBy } = this.#round
    const isOver = hasComeBy && (next === undefined || (from !== START && BigInt(next) >= BigInt(from)))
    this.#round = isOver ? undefined : { from, hasComeBy: hasComeBy || next === undefined }
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
