import type { EdgeReads } from './core/edge-reads.ts'
import type { ErrorCode } from './core/errors.ts'
import type { MetricOfOther } from './runtime/metrics.ts'

/** What a node tells its gateway processes, over the IPC channel of a child process: JSON, bytes in base64. */
export type ToWorker =
  /** At once and then every second: what the node is called, and what of the rules stands in no file. */
  | { kind: 'state'; name: string; nowMs?: number; signingKeys: [number, string[]][] }
  /** A record is to be served from now on, if it is newer than the known one. */
  | { kind: 'offer'; name: string; record: string }
  /** Of a `put`: the record that is kept now, or why none is. */
  | { kind: 'kept'; id: number; record: string }
  | { kind: 'refused'; id: number; code: ErrorCode; message: string }
  /** Asks for the worker's metrics. */
  | { kind: 'count'; id: number }

/** What a gateway process tells its node, which alone writes. */
export type FromWorker =
  /** It hears now, and waits for the state before it takes requests. */
  | { kind: 'hello' }
  /** A record is to be kept. */
  | { kind: 'put'; id: number; shelf: 'given' | 'found'; name: string; record: string }
  /** A block on this disk does not match its CID. */
  | { kind: 'corrupt'; cid: string }
  /** What was read of roots that the node's store does not have. */
  | { kind: 'read'; reads: EdgeReads }
  | { kind: 'counted'; id: number; metrics: MetricOfOther[] }
