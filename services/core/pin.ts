import type { ReplicaState } from './replica.ts'

/** The status of a pin in the words of the IPFS Pinning Service API. */
export type PinStatus = 'queued' | 'pinning' | 'pinned' | 'failed'
export const PIN_STATUSES: readonly PinStatus[] = ['queued', 'pinning', 'pinned', 'failed']

/** What the status of a pin is derived from. */
export interface PinEvidence {
  /** Copies the policy wants before `pinned`. */
  copiesMin: number
  /** Replicas that were verified recently enough for this pin, on live nodes, and within the policy's rules. */
  verified: number
  /** States of all replicas of the content. */
  states: readonly ReplicaState[]
  /** Whether a node has begun to work on any of them. */
  begun: boolean
  /** Whether the content was given up: refused for good, or found nowhere after all attempts. */
  givenUp: boolean
}

/** The status that the evidence allows; nothing else ever sets it. */
export function derivePinStatus(evidence: PinEvidence): PinStatus {
  if (evidence.verified >= evidence.copiesMin) return 'pinned'
  if (evidence.givenUp) return 'failed'
  return evidence.begun ? 'pinning' : 'queued'
}
