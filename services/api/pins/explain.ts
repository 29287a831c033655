import { z } from 'zod'
import type { PinRow } from '../../catalog/pins.ts'
import type { ReplicaView } from '../../catalog/replicas-view.ts'
import type { PlacementProblem } from '../../core/placement-problems.ts'

export const Explanation = z
  .object({
    phase: z
      .enum(['placing', 'waiting', 'fetching', 'verifying', 'pinned', 'healing', 'failed'])
      .describe('What is going on now'),
    progress: z
      .object({
        verified: z.number().int().describe('Copies that are verified'),
        doneBytes: z.number().describe('Of the copy that has come farthest'),
        totalBytes: z.number().nullable().describe('null until somebody measured the DAG'),
        doneBlocks: z.number(),
        totalBlocks: z.number().nullable(),
      })
      .describe('How far the copies are'),
    waitsFor: z.array(z.string()).describe('What has to happen next, as sentences; empty when nothing has to'),
    lastError: z.object({ node: z.string(), code: z.string(), message: z.string() }).nullable(),
    nextTryMs: z.number().nullable().describe('Until a node tries again; null when that depends on something else'),
  })
  .meta({ id: 'Explanation', description: 'Why a pin is where it is' })
export type Explanation = z.infer<typeof Explanation>

/** Tells what stands between a pin and its copies, from its rows and from what placement cannot give it. */
export function explain(
  pin: PinRow,
  replicas: readonly ReplicaView[],
  problems: readonly PlacementProblem[],
): Explanation {
  const phase = phaseOf(pin, replicas, problems)
  const farthest = replicas.toSorted((a, b) => b.doneBytes - a.doneBytes)[0]
  const failed = replicas.find(({ error }) => error !== null)
  const tries = replicas.flatMap(({ nextTryMs }) => (nextTryMs === null ? [] : [nextTryMs]))
  return {
    phase,
    progress: {
      verified: replicas.filter(({ state }) => state === 'verified').length,
      doneBytes: farthest?.doneBytes ?? 0,
      totalBytes: pin.bytes ?? null,
      doneBlocks: farthest?.doneBlocks ?? 0,
      totalBlocks: pin.blocks ?? null,
    },
    waitsFor: waitsFor(phase, pin, replicas, problems),
    lastError:
      failed === undefined
        ? null
        : { node: failed.node, code: failed.errorCode ?? 'INTERNAL_ERROR', message: failed.error ?? '' },
    nextTryMs: tries.length === 0 ? null : Math.min(...tries),
  }
}

function phaseOf(
  { status }: PinRow,
  replicas: readonly ReplicaView[],
  problems: readonly PlacementProblem[],
): Explanation['phase'] {
  const has = (...states: ReplicaView['state'][]): boolean => replicas.some(({ state }) => states.includes(state))
  if (status === 'failed') return 'failed'
  if (status === 'pinned') return problems.length > 0 || has('allocated', 'stored', 'lost') ? 'healing' : 'pinned'
  if (!has('allocated', 'stored', 'verified')) return 'placing'
  if (has('stored', 'verified')) return 'verifying'
  return replicas.some(({ isLeased, doneBytes }) => isLeased || doneBytes > 0) ? 'fetching' : 'waiting'
}

function waitsFor(
  phase: Explanation['phase'],
  { problem }: PinRow,
  replicas: readonly ReplicaView[],
  problems: readonly PlacementProblem[],
): string[] {
  if (phase === 'failed') return problem === undefined ? [] : [problem.message]
  const copies = replicas.flatMap((replica) => copyStep(replica) ?? [])
  const placing = phase === 'placing' && problems.length === 0 ? ['The scheduler has not placed its copies yet.'] : []
  return [...placing, ...problems.map(({ message }) => message), ...copies]
}

function copyStep({ node, state, phase, isLeased, error }: ReplicaView): string | undefined {
  if (state === 'lost') return `${node} is silent; its copy is being made again.`
  if (state !== 'allocated' && state !== 'stored') return undefined
  if (error !== null && !isLeased) return `${node} failed and will try again: ${error}`
  const verb = state === 'stored' ? 'verify its copy' : 'fetch a copy'
  return isLeased ? `${node} is about to ${verb}${phase === null ? '' : ` (${phase})`}.` : `${node} has yet to ${verb}.`
}
