import type { CID } from 'multiformats/cid'
import type { PinStatus } from '../core/pin.ts'
import type { Sql } from './database.ts'
import { isUuid } from './uuid.ts'

/** What a client wants kept. */
export interface NewPin {
  cid: CID
  /** The CID as the client wrote it, which is how it is answered. */
  cidText: string
  name?: string | undefined
  /** Multiaddrs that may have the content. */
  origins?: readonly string[]
  meta?: Readonly<Record<string, string>>
  /** Name of a policy of the tenant or the system; the default one when undefined. */
  policy?: string | undefined
  /** RFC 3339. */
  expiresAt?: string | undefined
  /** Profile of the upload that made the root. */
  profile?: string | undefined
  /** The most that the network may bring for it; what the account may have when undefined. */
  maxBytes?: number | undefined
  firstCopy?: FirstCopy | undefined
}

/** A node has the whole DAG durable already, because it took the upload. */
export interface FirstCopy {
  /** The node's name, and the epoch of its session when it said so. */
  node: string
  epoch: number
  bytes: number
  blocks: number
}

/** An accepted pin. */
export interface PinRow {
  /** The `requestid` of the API. */
  id: string
  contentId: string
  status: PinStatus
  /** RFC 3339 with six decimals; unique within the tenant. */
  createdAt: string
  cid: string
  name: string | undefined
  origins: readonly string[]
  meta: Readonly<Record<string, string>>
  /** Name of the policy. */
  policy: string
  expiresAt: string | undefined
  profile: string | undefined
  /** Of the whole DAG, once a holder has measured it. */
  bytes: number | undefined
  blocks: number | undefined
  /** Why no copy will come, when the content was given up. */
  problem: { code: string; message: string } | undefined
}

/** Columns of a {@link PinRow}, of `pin p join content c join policy y`. */
export const PIN_COLUMNS = `p.id, p.content_id as "contentId", p.status, p.created_at as "createdAt", p.cid, p.name, p.origins,
  p.meta, y.name as policy, p.expires_at as "expiresAt", p.profile, c.bytes::float8 as bytes, c.blocks::float8 as blocks,
  c.given_up_code as "problemCode", c.given_up as problem`

export type PinColumns = { [Key in keyof Omit<PinRow, 'problem'>]: Exclude<PinRow[Key], undefined> | null } & {
  problemCode: string | null
  problem: string | null
}

export function pinOf({ problemCode, problem, ...row }: PinColumns): PinRow {
  const defined = Object.fromEntries(Object.entries(row).map(([key, value]) => [key, value ?? undefined]))
  const message = problem === null ? undefined : { code: problemCode ?? 'NOT_FOUND', message: problem }
  return { ...(defined as unknown as Omit<PinRow, 'problem'>), problem: message }
}

/** The tenant's pin of that id; undefined when the tenant has none such. */
export async function getPin(sql: Sql, tenantId: number, id: string): Promise<PinRow | undefined> {
  if (!isUuid(id)) return undefined
  const [row] = await sql.prepared<PinColumns>(
    'get-pin',
    `select ${PIN_COLUMNS} from pin p join content c on c.id = p.content_id join policy y on y.id = p.policy_id
     where p.tenant_id = $1 and p.id = $2`,
    [tenantId, id],
  )
  return row === undefined ? undefined : pinOf(row)
}

/**
 * A name without its case, for filters that ignore it. Each character by itself: a whole word can become something that a
 * part of it does not (the last sigma of a Greek word), and then a part would not be found.
 */
export function foldName(name: string): string {
  return Array.from(name, (character) => character.toLowerCase()).join('')
}
