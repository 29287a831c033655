import { formatSize, HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { aligned } from './output.ts'
import { toSecond, type PinDetails, type ReplicaView } from './pin-view.ts'
import { plain } from './terminal-text.ts'

/**
 * One line that tells where a pin is and why, such as `pinning: 1 of 2 needed copies verified; virginia-1 is fetching
 * 40.0 MiB of 64.0 MiB; next try in 12 s; last error of shanghai-1: …`.
 */
export function headline(pin: PinDetails): string {
  const { phase, lastError, nextTryMs } = pin.explain
  const parts = [copiesOf(pin), ...pin.replicas.flatMap((replica) => workOf(replica) ?? [])]
  if (phase === 'failed') parts.push(...pin.explain.waitsFor)
  if (phase !== 'pinned' && nextTryMs !== null) parts.push(`next try ${inTime(nextTryMs)}`)
  if (lastError !== null) parts.push(`last error of ${lastError.node}: ${lastError.message || lastError.code}`)
  return plain(`${pin.status}: ${parts.map((part) => part.replace(/\.$/, '')).join('; ')}`)
}

/** Everything that tells why a pin is where it is. */
export function answerWhy(pin: PinDetails): string {
  const { waitsFor } = pin.explain
  const waits =
    waitsFor.length > 0 ? ['', 'What has to happen next:', ...waitsFor.map((step) => `  ${plain(step)}`)] : []
  return [headline(pin), '', ...factsOf(pin), ...copyLines(pin), ...waits].join('\n')
}

/** What a pin is, and its copies. */
export function describePin(pin: PinDetails): string {
  return [...factsOf(pin), ...copyLines(pin)].join('\n')
}

function copiesOf({ status, explain, policy }: PinDetails): string {
  const { min, target } = policy.spec.copies
  const { verified } = explain.progress
  const isPinned = status === 'pinned'
  return `${verified} of ${isPinned ? target : `${min} needed`} ${(isPinned ? target : min) === 1 ? 'copy' : 'copies'} verified`
}

/** What the node of a copy is doing about it; undefined when that is nothing worth a word. */
function workOf({ node, state, phase, doneBytes, bytes }: ReplicaView): string | undefined {
  if (state === 'lost') return `${node} is silent`
  if (state === 'stored') return `${node} ${phase === null ? 'has yet to verify its copy' : 'is verifying its copy'}`
  if (state !== 'allocated') return undefined
  if (phase === null && doneBytes === 0) return `${node} has yet to fetch it`
  return `${node} is fetching ${bytes === null ? formatSize(doneBytes) : share(doneBytes, bytes)}`
}

function share(done: number, total: number): string {
  return `${formatSize(Math.min(done, total))} of ${formatSize(total)}`
}

function factsOf({ pin, requestid, created, policy, replicas }: PinDetails): string[] {
  const { min, target } = policy.spec.copies
  const size = replicas.find(({ bytes }) => bytes !== null)?.bytes
  const facts = [
    ['cid', pin.cid],
    ['name', pin.name ?? ''],
    ['request id', requestid],
    ['created', `${toSecond(created)} UTC`],
    ['policy', `${policy.name}: ${target} ${target === 1 ? 'copy' : 'copies'}, pinned from ${min} on`],
    ['size', size === undefined || size === null ? '' : formatSize(size)],
  ]
  return aligned(facts.filter(([, value]) => value !== '').map((fact) => fact.map(plain))).split('\n')
}

function copyLines({ replicas }: PinDetails): string[] {
  if (replicas.length === 0) return ['', 'No copy is placed yet.']
  const rows = replicas.map(copyRow).map((row) => row.map(plain))
  return ['', ...aligned([['NODE', 'REGION', 'STATE', 'DONE', 'VERIFIED', 'ERROR'], ...rows]).split('\n')]
}

function copyRow(replica: ReplicaView): string[] {
  const { node, region, state, bytes, doneBytes, verifiedAt, error } = replica
  const done = state === 'allocated' ? (bytes === null ? formatSize(doneBytes) : share(doneBytes, bytes)) : ''
  return [node, region, state, done, verifiedAt === null ? '' : toSecond(verifiedAt), error ?? '']
}

function inTime(ms: number): string {
  if (ms < SECOND_MS) return 'now'
  if (ms < 2 * MINUTE_MS) return `in ${Math.round(ms / SECOND_MS)} s`
  return ms < 2 * HOUR_MS ? `in ${Math.round(ms / MINUTE_MS)} min` : `in ${Math.round(ms / HOUR_MS)} h`
}
