import { HoldfastError } from '../core/errors.ts'
import type { Sql } from './database.ts'
import { PROOF_COLUMNS, proofOf, type Proof, type ProofRow, type ProofState } from './proofs.ts'

/** A proof that this process works on, for as long as it renews the lease. */
export interface LeasedProof extends Proof {
  tenantId: number
  lease: string
  attempts: number
}

export type Leased = Pick<LeasedProof, 'id' | 'lease'>

/** Takes a proof that is due; of one account holders are asked for one at a time. @returns undefined when there is none */
export async function takeProof(sql: Sql, leaseMs: number): Promise<LeasedProof | undefined> {
  const [row] = await sql.query<ProofRow & { tenantId: number; lease: string; attempts: number }>(
    `with next as (
       select id from proof n
        where state in ('queued', 'challenging', 'stating', 'anchoring') and due_at <= now()
          and (lease_until is null or lease_until < now())
          and (state <> 'queued' or not exists (
                select from proof o where o.tenant_id = n.tenant_id and o.state = 'challenging'))
        order by due_at limit 1 for update skip locked),
     p as (
       update proof q
          set lease = nextval('lease_seq'), lease_until = now() + make_interval(secs => $1 / 1000.0)
         from next where q.id = next.id
       returning q.*)
     select ${PROOF_COLUMNS}, p.tenant_id as "tenantId", p.lease, p.attempts
       from p left join proof_anchor a on a.proof_id = p.id`,
    [leaseMs],
  )
  return row && proofOf(row)
}

export function lost(): HoldfastError {
  return new HoldfastError('CONFLICT', 'Another process works on this proof.')
}

/** Keeps the work for longer. @throws CONFLICT when another process has it */
export async function renewProof(sql: Sql, { id, lease }: Leased, leaseMs: number): Promise<void> {
  const touched = await sql.run(
    `update proof set lease_until = now() + make_interval(secs => $3 / 1000.0) where id = $1 and lease = $2`,
    [id, lease, leaseMs],
  )
  if (touched === 0) throw lost()
}

/**
 * Keeps the work for as long as the transaction lasts: nobody takes it over meanwhile.
 * @throws CONFLICT when another process has it
 */
export async function holdProof(sql: Sql, { id, lease }: Leased): Promise<void> {
  const held = await sql.query('select from proof where id = $1 and lease = $2 for update', [id, lease])
  if (held.length === 0) throw lost()
}

/** Gives the work back until it is due again; what went well makes up for what failed before. */
export async function releaseProof(sql: Sql, { id, lease }: Leased, afterMs: number): Promise<void> {
  await sql.run(
    `update proof
        set lease = null, lease_until = null, attempts = 0, due_at = now() + make_interval(secs => $3 / 1000.0),
            error_code = null, error = null, hindered_since = null
      where id = $1 and lease = $2`,
    [id, lease, afterMs],
  )
}

/** Gives the work back as it is, for another process to go on with. */
export async function returnProof(sql: Sql, { id, lease }: Leased): Promise<void> {
  await sql.run(`update proof set lease = null, lease_until = null, due_at = now() where id = $1 and lease = $2`, [
    id,
    lease,
  ])
}

/** Why a proof comes no further. */
export interface Hindrance {
  code: string
  message: string
}

/** Notes why a proof came no further. @param retryMs undefined: for good */
export async function noteProofFailure(
  sql: Sql,
  { id, lease }: Leased,
  { code, message }: Hindrance,
  retryMs: number | undefined,
): Promise<void> {
  await sql.run(
    `update proof
        set error_code = $3, error = $4, attempts = attempts + 1, lease = null, lease_until = null,
            due_at = now() + make_interval(secs => coalesce($5::float8, 0) / 1000.0),
            state = case when $5::float8 is null then 'failed' else state end,
            hindered_since = case when $5::float8 is not null then coalesce(hindered_since, now()) end,
            finished_at = case when $5::float8 is null then now() end
      where id = $1 and lease = $2`,
    [id, lease, code, storable(message), retryMs ?? null],
  )
}

/**
 * Notes why an anchor came no further. It has failed when that lasts, or when for so long nothing could be sent; then the
 * proof is done without it.
 * @param giveUpMs undefined: it lasts
 * @returns whether it has failed
 */
export async function noteAnchorFailure(
  sql: Sql,
  { id, lease }: Leased,
  { code, message }: Hindrance,
  { retryMs, giveUpMs }: { retryMs: number; giveUpMs: number | undefined },
): Promise<boolean> {
  const [row] = await sql.query<{ hasFailed: boolean }>(
    `with judged as (
       select p.id, p.chain_id, p.signer, $6::float8 is null or (a.nonce is null
                and coalesce(p.hindered_since, now()) <= now() - make_interval(secs => $6::float8 / 1000.0)) as has_failed
         from proof p left join proof_anchor a on a.proof_id = p.id
        where p.id = $1 and p.lease = $2 for update of p),
     given_up as (
       insert into proof_anchor (proof_id, chain_id, publisher, state)
       select id, chain_id, signer, 'failed' from judged where has_failed
       on conflict (proof_id) do update
         set state = 'failed', transaction = null, block_number = null, block_hash = null)
     update proof p
        set error_code = $3, error = $4, attempts = attempts + 1, lease = null, lease_until = null,
            due_at = now() + make_interval(secs => $5::float8 / 1000.0),
            state = case when has_failed then 'done' else state end,
            hindered_since = case when not has_failed then coalesce(hindered_since, now()) end,
            finished_at = case when has_failed then now() end
       from judged where p.id = judged.id
     returning has_failed as "hasFailed"`,
    [id, lease, code, storable(message), retryMs, giveUpMs ?? null],
  )
  return row?.hasFailed ?? false
}

/** Words of providers may hold what text in Postgres may not. */
function storable(text: string): string {
  return text.replaceAll('\0', '')
}

/** Moves a proof to another state. @throws CONFLICT */
export async function advance(sql: Sql, { id, lease }: Leased, state: ProofState): Promise<void> {
  const touched = await sql.run(
    `update proof set state = $3, error_code = null, error = null, hindered_since = null,
            finished_at = case when $3 = 'done' then now() end
      where id = $1 and lease = $2`,
    [id, lease, state],
  )
  if (touched === 0) throw lost()
}

/** The anchor is final. @throws CONFLICT */
export async function finishProof(sql: Sql, proof: Leased): Promise<void> {
  await advance(sql, proof, 'done')
}
