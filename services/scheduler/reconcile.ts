import type { Database, Sql } from '../catalog/database.ts'
import { readNodes, type ClusterNode } from '../catalog/nodes.ts'
import { existing, lockContents } from '../catalog/reconcile-contents.ts'
import { finishEntries, takeEntries, type QueueEntry } from '../catalog/reconcile-queue.ts'
import { requestEvidence, settlePins, type SettledPin } from '../catalog/reconcile-statuses.ts'
import { writeDecisions } from '../catalog/reconcile-write.ts'
import { hasCode } from '../core/errors.ts'
import { isMassFailure } from './brake.ts'
import { decide, type DecideSettings, type Verdict } from './decide.ts'

/** Roots of one transaction: large enough to share its cost, small enough that nobody waits long for a lock. */
const SLICE = 64
/** Until a root is looked at again that somebody else had locked. */
const LOCKED_AGAIN_MS = 25

export interface ReconcileOutcome {
  /** Roots that were taken from the queue. */
  taken: number
  /** Whether more may wait. */
  isFull: boolean
  /** Some were locked by others, and are to be looked at again after this long. */
  againMs: number | undefined
  /** Nodes that have something new to do. */
  wake: Set<number>
  /** Pins whose status changed. */
  settled: SettledPin[]
  /** Roots of which no decision could be made or written: they come again. */
  failed: { contentId: string; error: Error }[]
}

/**
 * One pass: takes roots that are to be looked at, compares what is wanted with what was seen, and writes down what shall
 * become of them, each slice in one transaction. Safe to run in several processes at once, and after a crash at any point.
 */
export async function reconcile(db: Database, settings: DecideSettings): Promise<ReconcileOutcome> {
  const entries = await takeEntries(db, SLICE)
  if (entries.length === 0) return { taken: 0, isFull: false, ...NOTHING, wake: new Set() }
  const nodes = await readNodes(db)
  const done = await together(db, entries, (sql, some) => reconcileSlice(sql, some, nodes, settings))
  return { taken: entries.length, isFull: entries.reduce((rows, { ids }) => rows + ids.length, 0) >= SLICE, ...done }
}

type Done = Pick<ReconcileOutcome, 'againMs' | 'wake' | 'settled'>

const NOTHING = { againMs: undefined, settled: [], failed: [] }

/** A root that cannot be decided must not hold up the others of its slice, which may be anybody's: then each goes alone. */
async function together(
  db: Database,
  entries: readonly QueueEntry[],
  work: (sql: Sql, entries: readonly QueueEntry[]) => Promise<Done>,
): Promise<Done & Pick<ReconcileOutcome, 'failed'>> {
  try {
    return { ...(await db.transaction((sql) => work(sql, entries))), failed: [] }
  } catch (error) {
    // The database is away, or there is too much contention: that is nobody's fault among them.
    if (hasCode(error, 'UNAVAILABLE')) throw error
    const [only] = entries
    if (only !== undefined && entries.length === 1)
      return { ...NOTHING, wake: new Set(), failed: [{ contentId: only.contentId, error: error as Error }] }
  }
  const alone = []
  for (const entry of entries) alone.push(await together(db, [entry], work))
  return {
    againMs: alone.find(({ againMs }) => againMs !== undefined)?.againMs,
    wake: new Set(alone.flatMap(({ wake }) => [...wake])),
    settled: alone.flatMap(({ settled }) => settled),
    failed: alone.flatMap(({ failed }) => failed),
  }
}

async function reconcileSlice(
  sql: Sql,
  entries: readonly QueueEntry[],
  nodes: readonly ClusterNode[],
  settings: DecideSettings,
): Promise<Done> {
  const contents = await lockContents(
    sql,
    entries.map(({ contentId }) => contentId),
  )
  const cluster = { nodes, isBraked: isMassFailure(nodes) }
  const verdicts = contents.map((content) => decide(content, cluster, settings))
  await writeDecisions(sql, verdicts)
  const settled = await settlePins(sql, verdicts)
  const asked = await requestEvidence(
    sql,
    verdicts.filter(({ statuses }) => statuses.some(({ keeps }) => keeps)).map(({ contentId }) => contentId),
  )
  const againMs = new Map(verdicts.map((verdict) => [verdict.contentId, verdict.againMs]))
  const left = entries.map(({ contentId }) => contentId).filter((contentId) => !againMs.has(contentId))
  const locked = await existing(sql, left)
  for (const contentId of locked) againMs.set(contentId, LOCKED_AGAIN_MS)
  await finishEntries(
    sql,
    entries.map((entry) => ({ ...entry, againMs: againMs.get(entry.contentId) })),
  )
  return {
    againMs: locked.size > 0 ? LOCKED_AGAIN_MS : undefined,
    wake: new Set([...verdicts.flatMap(nodesWithWork), ...asked]),
    settled,
  }
}

function nodesWithWork({ allocate, schedule, recheck, release }: Verdict): number[] {
  const due = [...allocate, ...schedule, ...recheck].filter(({ dueInMs }) => dueInMs === 0)
  return [...due.map(({ nodeId }) => nodeId), ...release]
}
