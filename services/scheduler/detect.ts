import type { Database } from '../catalog/database.ts'
import { judgeNode, loseReplicasOf, markLost, readSilences, type Silence } from '../catalog/nodes-liveness.ts'
import { livenessOf, type Liveness, type LivenessLimits } from '../core/node.ts'
import type { Log } from '../runtime/log.ts'
import { isMassFailure } from './brake.ts'

/** Copies of a dead node that one transaction marks lost. */
const SLICE = 500
/** Slices of one node in one pass: the first of them are being healed while the next are marked. */
const SLICES_PER_PASS = 20

export interface Detection {
  /** Nodes were judged differently than before. */
  hasChanged: boolean
  /** Copies that were marked lost. */
  lost: number
}

/**
 * One pass of the detector: judges every node by how long it was silent, and marks the copies of the dead ones lost, in
 * slices, so that their contents are placed anew. In a mass failure only contents below their floor are.
 * @param heardMs how long somebody has been listening without a gap: silence before that proves nothing
 */
export async function detect(
  db: Database,
  { limits, heardMs, log }: { limits: LivenessLimits; heardMs: number; log: Log },
): Promise<Detection> {
  const seen = await readSilences(db, heardMs)
  const judged = await Promise.all(seen.map(async (node) => await judge(db, node, limits, log)))
  const onlyEndangered = isMassFailure(judged)
  const dead = judged.filter(({ liveness, isLost }) => liveness === 'down' && !isLost)
  if (onlyEndangered)
    log.warn({ dead: dead.map(({ name }) => name) }, 'so many nodes are silent that only contents in danger are healed')
  let lost = 0
  for (const node of dead) lost += await loseAll(db, node, onlyEndangered)
  return { hasChanged: judged.some(({ liveness }, index) => liveness !== seen[index]?.liveness), lost }
}

async function judge(db: Database, node: Silence, limits: LivenessLimits, log: Log): Promise<Silence> {
  const to = verdict(node, limits)
  if (to === node.liveness) return node
  const limitMs = to === 'down' ? limits.downMs : limits.suspectMs
  const written = await judgeNode(db, { nodeId: node.nodeId, from: node.liveness, to, silentMs: limitMs })
  if (!written) return node
  log.info({ node: node.name, from: node.liveness, to, silentMs: Math.round(node.silentMs) }, 'a node is judged anew')
  return { ...node, liveness: to }
}

/** Only registration brings a dead node back. */
function verdict({ liveness, silentMs }: Silence, limits: LivenessLimits): Liveness {
  return liveness === 'down' ? 'down' : livenessOf(silentMs, limits)
}

async function loseAll(db: Database, { nodeId }: Silence, onlyEndangered: boolean): Promise<number> {
  let after = '0'
  let lost = 0
  for (let slice = 0; slice < SLICES_PER_PASS; slice++) {
    const done = await loseReplicasOf(db, nodeId, { after, limit: SLICE, onlyEndangered })
    lost += done.lost
    if (done.next === undefined) {
      if (!onlyEndangered) await markLost(db, nodeId)
      break
    }
    after = done.next
  }
  return lost
}
