/**
 * One node's copy of a root.
 *
 * ```
 * allocated ──stored──▶ stored ──verified──▶ verified ──surplus, drained, unpinned──▶ releasing ──▶ (row gone)
 *     │  ▲                 │                    │
 *     ▼  └─── retry ───────┴──── bad blocks ────┘        any ──node is down──▶ lost ──node returns──▶ stored
 *  failed (for good: the content itself is refused)
 * ```
 * `stored` means durable on that node's word; `verified` means that every block was read back from its disk and hashed.
 */
export type ReplicaState = 'allocated' | 'stored' | 'verified' | 'failed' | 'lost' | 'releasing'

/** States of rows that still stand for bytes on a live node, so that others can copy from it. */
export const SOURCE_STATES: readonly ReplicaState[] = ['stored', 'verified']

/** A replica as placement sees it. */
export interface PlacedReplica {
  nodeId: number
  state: ReplicaState
  /** Tries since it last succeeded. */
  attempts: number
}
