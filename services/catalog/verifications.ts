import { randomUUIDv7 } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import type { Database, Sql } from './database.ts'
import { lockTenant } from './tenant-lock.ts'

type VerificationState = 'queued' | 'reading' | 'checking' | 'done' | 'failed'

/** What was asked for. Numbers are decimal text, because those of chains have 256 bits. */
export interface VerificationWish {
  /** `finalized`, `safe`, `latest`, or a number. */
  block: string
  /** Only these tokens. */
  ids?: string[]
  /** Where the contract was made. */
  fromBlock?: string
  maxTokens?: number
  /** Holders read their copies back after the look began; copies that were not do not count. */
  rehash?: boolean
}

/** One look at a collection. Times are text in UTC. */
export interface Verification {
  id: string
  /** CAIP-19 without a token. */
  collection: string
  wanted: VerificationWish
  state: VerificationState
  blockNumber: string | null
  blockHash: string | null
  /** What the chain says of the contract, and how its tokens were found. */
  contract: Record<string, unknown> | null
  coverage: Record<string, unknown> | null
  sources: string[] | null
  figures: VerificationFigures | null
  tokens: number
  checked: number
  error: { code: string; message: string } | null
  createdAt: string
  startedAt: string | null
  finishedAt: string | null
}

/** Numbers of tokens. */
export interface VerificationFigures {
  verdicts: Record<string, number>
  kinds: Record<string, number>
  /** By the number of verified copies. */
  copies: Record<string, number>
  /** By the name of a server, the most frequent ones. */
  hosts: Record<string, number>
}

export const VERIFICATION_COLUMNS = `v.id, v.collection, v.wanted, v.state, v.block_number as "blockNumber",
  v.block_hash as "blockHash", v.contract, v.coverage, v.sources, v.figures, v.tokens, v.checked,
  v.error_code as "errorCode", v.error, v.created_at as "createdAt", v.started_at as "startedAt",
  v.finished_at as "finishedAt"`

export type VerificationRow = Omit<Verification, 'error'> & { errorCode: string | null; error: string | null }

export function verificationOf<Row extends VerificationRow>({ errorCode, error, ...row }: Row) {
  return { ...row, error: errorCode === null ? null : { code: errorCode, message: error ?? '' } }
}

/** Looks of one account that are not finished. */
const MOST_UNFINISHED = 20
/** Finished looks at one collection that are kept for an account. */
const KEPT = 20

/** Asks for a look at a collection. @throws TOO_MANY_REQUESTS when the account waits for too many */
export async function createVerification(
  db: Database,
  tenantId: number,
  { collection, wanted }: { collection: string; wanted: VerificationWish },
): Promise<Verification> {
  return await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    const [waiting] = await sql.query<{ count: number }>(
      `select count(*)::int as count from verification
        where tenant_id = $1 and state in ('queued', 'reading', 'checking')`,
      [tenantId],
    )
    if ((waiting?.count ?? 0) >= MOST_UNFINISHED) {
      throw new HoldfastError('TOO_MANY_REQUESTS', `At most ${MOST_UNFINISHED} collections can wait to be looked at.`)
    }
    await sql.run(
      `delete from verification where id in (
         select id from verification where tenant_id = $1 and collection = $2 and state in ('done', 'failed')
          order by created_at desc offset $3)`,
      [tenantId, collection, KEPT - 1],
    )
    const [row] = await sql.query<VerificationRow>(
      `insert into verification as v (id, tenant_id, collection, wanted) values ($1, $2, $3, $4)
       returning ${VERIFICATION_COLUMNS}`,
      [randomUUIDv7(), tenantId, collection, JSON.stringify(wanted)],
    )
    return verificationOf(row as VerificationRow)
  })
}

export async function getVerification(
  sql: Sql,
  tenantId: number,
  { collection, id }: { collection: string; id: string },
): Promise<Verification | undefined> {
  const [row] = await sql.query<VerificationRow>(
    `select ${VERIFICATION_COLUMNS} from verification v where v.tenant_id = $1 and v.collection = $2 and v.id = $3`,
    [tenantId, collection, id],
  )
  return row && verificationOf(row)
}

/** An account's looks at a collection, the newest first. */
export async function listVerifications(sql: Sql, tenantId: number, collection: string): Promise<Verification[]> {
  const rows = await sql.query<VerificationRow>(
    `select ${VERIFICATION_COLUMNS} from verification v
      where v.tenant_id = $1 and v.collection = $2 order by v.created_at desc limit $3`,
    [tenantId, collection, KEPT + MOST_UNFINISHED],
  )
  return rows.map(verificationOf)
}

/** A token as a report shows it: canonical JSON. */
export interface ReportedToken {
  pointer: string
  /** Null until it was looked at. */
  finding: string | null
}

/** Rows of a page of a report. */
const PAGE = 1_000

/** The tokens of a look, in the order in which they were found. */
export async function* reportedTokens(sql: Sql, id: string): AsyncGenerator<ReportedToken> {
  for (let from = 0; ; from += PAGE) {
    const rows = await sql.query<ReportedToken>(
      `select pointer, finding from verification_token
        where verification_id = $1 and place >= $2 and place < $3 order by place`,
      [id, from, from + PAGE],
    )
    yield* rows
    if (rows.length < PAGE) return
  }
}

/** Tokens of one verdict, at most so many, in the order in which they were found. */
export function tokensOfVerdict(
  sql: Sql,
  id: string,
  { verdict, limit }: { verdict: string; limit: number },
): Promise<ReportedToken[]> {
  return sql.query<ReportedToken>(
    `select pointer, finding from verification_token
      where verification_id = $1 and verdict = $2 order by place limit $3`,
    [id, verdict, limit],
  )
}
