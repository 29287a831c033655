import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Denial } from '../core/denylist.ts'
import { SECOND_MS } from '../core/units.ts'

/** Where a block was found: in memory, in the node's own store, in its edge cache, with another node, in the public network. */
export type Level = 'memory' | 'store' | 'edge' | 'holder' | 'network'

/** What is known of an exchange when it has ended. */
interface Outcome {
  status: number
  /** As negotiated; `none` when it came to no answer about content. */
  format: string
  hostClass: string
  /** Until the headers were sent; undefined when they were not. */
  firstByteMs: number | undefined
  bytes: number
  /** The connection was reset within the body. */
  isTruncated: boolean
  isTimeout: boolean
}

/** The gateway's events. Labels have few values: nothing that a client can choose freely. */
export interface GatewayMetrics {
  began: () => void
  ended: (outcome: Outcome) => void
  /** A block was found, or at last not. */
  found: (level: Level | 'nowhere') => void
  denied: (denial: Denial) => void
}

export const NO_METRICS: GatewayMetrics = { began() {}, ended() {}, found() {}, denied() {} }

/**
 * Metrics of one gateway process. Where Kubo's gateway has a metric of the same meaning it has the same name
 * (`ipfs_http_gw_…`), so that its dashboards work.
 */
export function gatewayMetrics(registry: Registry): GatewayMetrics {
  const registers = [registry]
  const responses = new Counter({
    name: 'ipfs_http_gw_responses_total',
    help: 'Answers by status',
    labelNames: ['code'],
    registers,
  })
  const concurrent = new Gauge({
    name: 'ipfs_http_gw_concurrent_requests',
    help: 'Requests that are being answered',
    registers,
  })
  const timeouts = new Counter({
    name: 'ipfs_http_gw_retrieval_timeouts_total',
    help: 'Answers that took too long, by status and whether they had begun',
    labelNames: ['code', 'truncated'],
    registers,
  })
  const cacheRequests = new Counter({
    name: 'ipfs_http_blockstore_cache_requests',
    help: 'Blocks that were looked for in memory',
    registers,
  })
  const cacheHits = new Counter({
    name: 'ipfs_http_blockstore_cache_hit',
    help: 'Blocks that were found in memory',
    registers,
  })
  const requests = new Counter({
    name: 'holdfast_gateway_requests_total',
    help: 'Requests by status, format and class of the host',
    labelNames: ['status', 'format', 'host_class'],
    registers,
  })
  const firstByte = new Histogram({
    name: 'holdfast_gateway_first_byte_seconds',
    help: 'Time until the first byte of an answer',
    labelNames: ['host_class'],
    buckets: [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers,
  })
  const bytes = new Counter({
    name: 'holdfast_gateway_sent_bytes_total',
    help: 'Bytes of answers, headers included',
    labelNames: ['host_class'],
    registers,
  })
  const truncated = new Counter({
    name: 'holdfast_gateway_truncated_total',
    help: 'Answers that were cut off within their body',
    registers,
  })
  const blocks = new Counter({
    name: 'holdfast_gateway_blocks_total',
    help: 'Blocks by where they were found',
    labelNames: ['level'],
    registers,
  })
  const denied = new Counter({
    name: 'holdfast_gateway_denied_total',
    help: 'Requests that a denylist ended, by list and status',
    labelNames: ['list', 'status'],
    registers,
  })
  const countersOf = remembered((status: string, format: string, hostClass: string) => ({
    responses: responses.labels(status),
    requests: requests.labels(status, format, hostClass),
  }))
  const firstByteOf = remembered((hostClass: string) => firstByte.labels(hostClass))
  const bytesOf = remembered((hostClass: string) => bytes.labels(hostClass))
  const blocksOf = remembered((level: string) => blocks.labels(level))

  return {
    began: () => concurrent.inc(),
    ended({ status, format, hostClass, firstByteMs, bytes: sent, isTruncated, isTimeout }) {
      concurrent.dec()
      const counters = countersOf(String(status), format, hostClass)
      counters.responses.inc()
      counters.requests.inc()
      if (firstByteMs !== undefined) firstByteOf(hostClass).observe(firstByteMs / SECOND_MS)
      bytesOf(hostClass).inc(sent)
      if (isTruncated) truncated.inc()
      if (isTimeout) timeouts.inc({ code: String(status), truncated: String(isTruncated) })
    },
    found(level) {
      cacheRequests.inc()
      if (level === 'memory') cacheHits.inc()
      blocksOf(level).inc()
    },
    denied: ({ list, status }) => denied.inc({ list, status: String(status) }),
  }
}

/** A metric with its labels set, made once for each set: finding it anew costs more than counting. */
function remembered<Labels extends string[], T>(make: (...labels: Labels) => T): (...labels: Labels) => T {
  const made = new Map<string, T>()
  return (...labels) => {
    const key = labels.join(' ')
    let found = made.get(key)
    if (found === undefined) {
      found = make(...labels)
      made.set(key, found)
    }
    return found
  }
}
