import { KIB, MIB, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import type { BudgetLimits } from './budgets.ts'

/** What a gateway grants its clients. Every number bounds memory, sockets or time that one client can take. */
export interface GatewaySettings extends BudgetLimits {
  /** Connections at once, over all clients. */
  maxConnections: number
  /** Connections at once from one address. A reverse proxy in front needs more. */
  maxConnectionsPerAddress: number
  /** Until a request's line and headers must have arrived. */
  headersTimeoutMs: number
  /** How long an idle connection is kept for the next request. */
  keepAliveMs: number
  /** Until the first byte of an answer must be known; then 504. */
  firstByteTimeoutMs: number
  /** A client that takes less than this over {@link writeBytes} is cut off. */
  minBytesPerSecond: number
  /** Bytes handed to a socket before the next ones wait for it to drain. */
  writeBytes: number
  /** Time of a whole answer. */
  answerTimeoutMs: number
  /** Bytes of one answer: a DAG of nine blocks can claim 2e21 bytes. */
  maxAnswerBytes: number
  /** Blocks of a file read ahead of the client, for each answer. */
  readAheadBlocks: number
  /** Verified blocks kept in memory, over all answers. */
  cacheBytes: number
}

export const DEFAULT_SETTINGS: GatewaySettings = {
  maxConnections: 4_096,
  maxConnectionsPerAddress: 64,
  headersTimeoutMs: 10 * SECOND_MS,
  keepAliveMs: 30 * SECOND_MS,
  firstByteTimeoutMs: 30 * SECOND_MS,
  minBytesPerSecond: 8 * KIB,
  writeBytes: 256 * KIB,
  answerTimeoutMs: 60 * MINUTE_MS,
  maxAnswerBytes: 64 * KIB * MIB,
  readAheadBlocks: 4,
  cacheBytes: 64 * MIB,
  addressRequestsPerSecond: Number.POSITIVE_INFINITY,
  addressBytesPerSecond: Number.POSITIVE_INFINITY,
  hostBytesPerSecond: Number.POSITIVE_INFINITY,
  tenantBytesPerSecond: Number.POSITIVE_INFINITY,
  burstSeconds: 10,
}
