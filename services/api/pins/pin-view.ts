import type { PinRow } from '../../catalog/pins.ts'
import type { PinStatus as Status } from '../../core/pin.ts'
import type { PinStatus } from './pin-schema.ts'

/** A pin in the words of the Pinning Service API. Nothing in it is ever null. */
export function pinView(row: PinRow, delegates: string[]): PinStatus {
  const { cid, name, origins, meta } = row
  return {
    requestid: row.id,
    status: row.status,
    created: row.createdAt,
    pin: {
      cid,
      ...(name === undefined ? {} : { name }),
      ...(origins.length === 0 ? {} : { origins: [...origins] }),
      ...(Object.keys(meta).length === 0 ? {} : { meta: { ...meta } }),
    },
    delegates,
    info: info(row),
  }
}

function info({ status, problem, bytes, blocks, policy, expiresAt, profile }: PinRow): Record<string, string> {
  const known: Record<string, string | number | undefined> = {
    status_details: problem?.message ?? DETAILS[status],
    dag_size: bytes,
    dag_blocks: blocks,
    policy,
    pinned_until: expiresAt,
    profile,
  }
  return Object.fromEntries(
    Object.entries(known).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
  )
}

const DETAILS: Readonly<Record<Status, string>> = {
  queued: 'waits for a node to begin',
  pinning: 'nodes are fetching or verifying copies',
  pinned: 'enough copies are verified and durable',
  failed: 'the content exceeds what the account may pin',
}
