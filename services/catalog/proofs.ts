import { randomUUIDv7 } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { ChallengeSource } from '../core/proof/challenge.ts'
import type { HolderRefusal } from '../core/proof/judge-holders.ts'
import type { AnchorKind, StatementOfProof } from '../core/proof/proof-file.ts'
import type { Database, Sql } from './database.ts'
import { lockTenant } from './tenant-lock.ts'

export type ProofState = 'queued' | 'challenging' | 'stating' | 'anchoring' | 'done' | 'failed'

/** What statements are wanted of; neither: all pins of the account. */
export interface ProofWish {
  /** Ids of pins. */
  pins?: string[]
  /** CAIP-19: the pins that the newest finished look at it found. */
  collection?: string
}

/** The transaction that anchors a proof's root, as far as it has come. Hashes and addresses are hex. */
interface SeenAnchor {
  publisher: string
  /** `failed`: given up, for the reason in `error`. */
  state: 'pending' | 'included' | 'final' | 'failed'
  transaction: string | null
  blockNumber: number | null
  blockHash: string | null
}

/** A proof. Times are text in UTC. */
export interface Proof {
  id: string
  wanted: ProofWish
  anchorKind: AnchorKind
  state: ProofState
  seed: ChallengeSource | null
  contents: number
  statements: number
  root: string | null
  /** Seconds since 1970. */
  takenAt: number | null
  manifest: string | null
  chainId: number | null
  contract: string | null
  signer: string | null
  signature: string | null
  anchor: SeenAnchor | null
  /** Why it has failed, its anchor has, or it comes no further. */
  error: { code: string; message: string } | null
  /** Since when it comes no further; null: it goes on, or has ended. */
  hinderedSince: string | null
  /** When something is done for it next. */
  dueAt: string
  createdAt: string
  finishedAt: string | null
}

/** For `proof p left join proof_anchor a`. */
export const PROOF_COLUMNS = `p.id, p.wanted, p.anchor_kind as "anchorKind", p.state, p.seed, p.contents, p.statements, p.root,
  extract(epoch from p.taken_at)::float8 as "takenAt", p.manifest, p.chain_id::float8 as "chainId", p.contract, p.signer,
  p.signature, p.error_code as "errorCode", p.error, p.hindered_since as "hinderedSince", p.due_at as "dueAt", p.created_at as "createdAt", p.finished_at as "finishedAt",
  case when a.proof_id is not null then json_build_object('publisher', a.publisher, 'state', a.state,
    'transaction', a.transaction, 'blockNumber', a.block_number, 'blockHash', a.block_hash) end as anchor`

export type ProofRow = Omit<Proof, 'error'> & { errorCode: string | null; error: string | null }

export function proofOf<Row extends ProofRow>({ errorCode, error, ...row }: Row) {
  return { ...row, error: errorCode === null ? null : { code: errorCode, message: error ?? '' } }
}

/** Proofs of one account that are not finished. */
const MOST_UNFINISHED = 20
/** Finished ones that are kept for an account. */
const KEPT = 50

/** Asks for a proof. @throws TOO_MANY_REQUESTS when the account waits for too many */
export async function createProof(
  db: Database,
  tenantId: number,
  { wanted, anchorKind }: { wanted: ProofWish; anchorKind: AnchorKind },
): Promise<Proof> {
  return await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    await refuseTooMany(sql, tenantId)
    await sql.run(
      `delete from proof where id in (
         select id from proof where tenant_id = $1 and state in ('done', 'failed') order by created_at desc offset $2)`,
      [tenantId, KEPT - 1],
    )
    const [row] = await sql.query<ProofRow>(
      `with p as (insert into proof (id, tenant_id, wanted, anchor_kind) values ($1, $2, $3, $4) returning *)
       select ${PROOF_COLUMNS} from p left join proof_anchor a on a.proof_id = p.id`,
      [randomUUIDv7(), tenantId, JSON.stringify(wanted), anchorKind],
    )
    return proofOf(row as ProofRow)
  })
}

/**
 * Has an anchor tried again that has failed; otherwise nothing happens, as one that is under way is tried by itself.
 * @returns whether there is a proof that is signed and was to be anchored
 * @throws TOO_MANY_REQUESTS when the account waits for too many
 */
export async function retryAnchor(db: Database, tenantId: number, id: string): Promise<boolean> {
  return await db.transaction(async (sql) => {
    await lockTenant(sql, tenantId)
    const [found] = await sql.query<{ hasFailed: boolean }>(
      `select p.state in ('done', 'failed') and coalesce(a.state = 'failed' or p.state = 'failed', true) as "hasFailed"
         from proof p left join proof_anchor a on a.proof_id = p.id
        where p.tenant_id = $1 and p.id = $2 and p.anchor_kind <> 'none' and p.signature is not null for update of p`,
      [tenantId, id],
    )
    if (found === undefined || !found.hasFailed) return found !== undefined
    await refuseTooMany(sql, tenantId)
    await sql.run(`update proof_anchor set state = 'pending' where proof_id = $1`, [id])
    await sql.run(
      `update proof set state = 'anchoring', error_code = null, error = null, attempts = 0, due_at = now(), finished_at = null
        where id = $1`,
      [id],
    )
    return true
  })
}

async function refuseTooMany(sql: Sql, tenantId: number): Promise<void> {
  const [waiting] = await sql.query<{ count: number }>(
    `select count(*)::int as count from proof where tenant_id = $1 and state not in ('done', 'failed')`,
    [tenantId],
  )
  if ((waiting?.count ?? 0) < MOST_UNFINISHED) return
  throw new HoldfastError('TOO_MANY_REQUESTS', `At most ${MOST_UNFINISHED} proofs can be under way.`)
}

export async function getProof(sql: Sql, tenantId: number, id: string): Promise<Proof | undefined> {
  const [row] = await sql.query<ProofRow>(
    `select ${PROOF_COLUMNS} from proof p left join proof_anchor a on a.proof_id = p.id
      where p.tenant_id = $1 and p.id = $2`,
    [tenantId, id],
  )
  return row && proofOf(row)
}

/** An account's proofs, the newest first. */
export async function listProofs(sql: Sql, tenantId: number): Promise<Proof[]> {
  const rows = await sql.query<ProofRow>(
    `select ${PROOF_COLUMNS} from proof p left join proof_anchor a on a.proof_id = p.id
      where p.tenant_id = $1 order by p.created_at desc limit $2`,
    [tenantId, KEPT + MOST_UNFINISHED],
  )
  return rows.map(proofOf)
}

/** Pins of the account by id or by CID (any form, version 1 base32 here); those that are none are left out. */
export async function findPins(
  sql: Sql,
  tenantId: number,
  { ids, cids }: { ids: readonly string[]; cids: readonly Uint8Array[] },
): Promise<{ id: string; cid: Buffer }[]> {
  return await sql.query(
    `select p.id, c.cid from pin p join content c on c.id = p.content_id
      where p.tenant_id = $1 and (p.id = any ($2::uuid[]) or c.cid = any ($3::bytea[]))`,
    [tenantId, ids, cids.map((cid) => Buffer.from(cid))],
  )
}

/** Whether the account has a finished look at the collection. */
export async function hasLookedAt(sql: Sql, tenantId: number, collection: string): Promise<boolean> {
  const found = await sql.query(
    `select from verification where tenant_id = $1 and collection = $2 and state = 'done' limit 1`,
    [tenantId, collection],
  )
  return found.length > 0
}

/** Leaves of a proof, of 32 bytes. */
export async function leavesOf(sql: Sql, id: string): Promise<Buffer[]> {
  const rows = await sql.query<{ leaf: Buffer }>(
    'select leaf from proof_statement where proof_id = $1 order by place',
    [id],
  )
  return rows.map(({ leaf }) => leaf)
}

const PAGE = 500

/** Statements of a proof in the order in which their roots were pinned. @param cid only of this root */
export async function* statementsOf(
  sql: Sql,
  id: string,
  cid?: string,
): AsyncGenerator<{ leaf: Buffer; statement: StatementOfProof }> {
  for (let after = -1; ;) {
    const rows = await sql.query<{ place: number; leaf: Buffer; statement: StatementOfProof }>(
      `select place, leaf, statement from proof_statement
        where proof_id = $1 and place > $2 and ($3::text is null or cid = $3) order by place limit ${PAGE}`,
      [id, after, cid ?? null],
    )
    yield* rows
    after = rows.at(-1)?.place ?? after
    if (rows.length < PAGE) return
  }
}

/** A root of which no statement could be made, or of which some copies are not stated. */
export interface RefusedCopies {
  cid: string
  isStated: boolean
  refused: HolderRefusal[]
}

/** Roots with copies that are not stated, at most so many. */
export async function refusedCopies(sql: Sql, id: string, limit: number): Promise<RefusedCopies[]> {
  const rows = await sql.query<Omit<RefusedCopies, 'cid'> & { cid: Buffer }>(
    `select cid, is_stated as "isStated", refused from proof_content
      where proof_id = $1 and is_judged and (refused <> '[]' or not is_stated) order by place limit $2`,
    [id, limit],
  )
  return rows.map(({ cid, ...copies }) => ({ ...copies, cid: cidKey(CID.decode(cid)) }))
}
