import { SECOND_MS } from './units.ts'

/** One storage server of the cluster. */
export interface StorageNode {
  id: number
  /** What people and the API call it, such as `shanghai-1`. */
  name: string
  labels: Record<string, string>
  /** `draining`: its copies are sources, but do not count towards a policy. */
  state: 'active' | 'draining' | 'drained'
  liveness: Liveness
  /** Since it was last heard, by the database's clock. */
  silentMs: number
  capacityBytes: number
  freeBytes: number
  /** Why its store takes no writes just now; null when it does. */
  refusal: string | null
}

/** `suspect`: no new copies are placed on it and readers avoid it. `down`: its copies are lost until it returns. */
export type Liveness = 'up' | 'suspect' | 'down'

export interface LivenessLimits {
  suspectMs: number
  downMs: number
}

export const DEFAULT_LIVENESS: LivenessLimits = {
  /** Three beats missed. */
  suspectMs: 15 * SECOND_MS,
  /** Longer than a restart of the process, so that restarts copy nothing. */
  downMs: 30 * SECOND_MS,
}

/** How a node that was silent for `silentMs` (by the database's clock) is judged. */
export function livenessOf(silentMs: number, limits: LivenessLimits): Liveness {
  if (silentMs >= limits.downMs) return 'down'
  return silentMs >= limits.suspectMs ? 'suspect' : 'up'
}
