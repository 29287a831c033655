import type { Database, Sql } from './database.ts'
import { holdProof, type Leased } from './proofs-lease.ts'

/** A transaction that was signed, and perhaps sent. */
export interface AnchorTransaction {
  hash: string
  raw: string
  nonce: number
  /** Wei for a unit of gas, decimal. */
  maxFee: string
}

/** An account on a chain. */
export interface AnchorAccount {
  chainId: number
  publisher: string
}

export interface Anchor extends AnchorAccount {
  /** Of the transactions that the network may have; null: it has none that can be in a block. */
  nonce: number | null
  /** The newest last. */
  transactions: AnchorTransaction[]
  state: 'pending' | 'included' | 'final' | 'failed'
  /** Milliseconds since the first and since the newest of the transactions was signed. */
  firstAgeMs: number
  newestAgeMs: number
}

/** What is written down of a proof's anchor; it is begun when there is nothing yet. Another account takes over when nothing is out. */
export async function openAnchor(sql: Sql, proofId: string, { chainId, publisher }: AnchorAccount): Promise<Anchor> {
  await sql.run(
    `insert into proof_anchor as a (proof_id, chain_id, publisher) values ($1, $2, $3)
     on conflict (proof_id) do update set publisher = $3
           where a.nonce is null and a.state = 'pending' and a.publisher <> $3`,
    [proofId, chainId, publisher],
  )
  const [row] = await sql.query<Anchor>(
    `select chain_id::float8 as "chainId", publisher, nonce::float8 as nonce, transactions, state,
            coalesce(n.ms - (transactions -> 0 ->> 'signedAt')::float8, 0) as "firstAgeMs",
            coalesce(n.ms - (transactions -> -1 ->> 'signedAt')::float8, 0) as "newestAgeMs"
       from proof_anchor, (select extract(epoch from clock_timestamp())::float8 * 1000 as ms) n where proof_id = $1`,
    [proofId],
  )
  return row as Anchor
}

/** Any number of its own: nonces of an account are given out one after the other. */
const NONCE_LOCK = 5_701_340_223
/** Transactions of one account that are out at once: what every node keeps of one. The others wait for their turn. */
export const MOST_OUT = 16

/**
 * The first nonce that no anchor has, from what the chain takes next; so gaps are filled first.
 * @returns undefined when as many are out as may be
 */
export async function freeNonce(
  sql: Sql,
  { chainId, publisher }: AnchorAccount,
  chainNonce: number,
): Promise<number | undefined> {
  const [row] = await sql.query<{ nonce: number }>(
    `select n::float8 as nonce from generate_series($3::bigint, $3::bigint + ${MOST_OUT - 1}) n
      where not exists (select from proof_anchor where chain_id = $1 and publisher = $2 and nonce = n)
      order by n limit 1`,
    [chainId, publisher, chainNonce],
  )
  return row?.nonce
}

/** Whether an anchor has that nonce of the account. */
export async function isTaken(sql: Sql, { chainId, publisher }: AnchorAccount, nonce: number): Promise<boolean> {
  const found = await sql.query('select from proof_anchor where chain_id = $1 and publisher = $2 and nonce = $3', [
    chainId,
    publisher,
    nonce,
  ])
  return found.length > 0
}

/**
 * Gives an anchor the next nonce of its account, and writes down the transaction that is signed for it, in one: so there is
 * no nonce without a transaction, and nothing is sent that is not written down.
 * @returns undefined when as many are out as may be
 * @throws CONFLICT when another process has the proof
 */
export async function writeFirst<T extends AnchorTransaction>(
  db: Database,
  proof: Leased,
  account: AnchorAccount & { chainNonce: number },
  sign: (nonce: number) => T,
): Promise<T | undefined> {
  return await db.transaction(async (sql) => {
    await holdProof(sql, proof)
    await sql.query('select pg_advisory_xact_lock($1)', [NONCE_LOCK])
    const nonce = await freeNonce(sql, account, account.chainNonce)
    if (nonce === undefined) return undefined
    const transaction = sign(nonce)
    await sql.run('update proof_anchor set nonce = $2 where proof_id = $1', [proof.id, nonce])
    await append(sql, proof.id, transaction)
    return transaction
  })
}

/** Writes down a transaction that takes the place of the newest, before it is sent. @throws CONFLICT */
export async function writeReplacement(db: Database, proof: Leased, transaction: AnchorTransaction): Promise<void> {
  await db.transaction(async (sql) => {
    await holdProof(sql, proof)
    await append(sql, proof.id, transaction)
  })
}

async function append(sql: Sql, proofId: string, transaction: AnchorTransaction): Promise<void> {
  await sql.run(
    `update proof_anchor
        set transactions = transactions || ($2::jsonb || jsonb_build_object(
              'signedAt', floor(extract(epoch from clock_timestamp()) * 1000)))
      where proof_id = $1`,
    [proofId, JSON.stringify(transaction)],
  )
}

/** Forgets a transaction that nobody has taken, and its nonce when no other has it. @throws CONFLICT */
export async function withdrawTransaction(
  db: Database,
  proof: Leased,
  { hash, nonce }: Pick<AnchorTransaction, 'hash' | 'nonce'>,
): Promise<void> {
  await db.transaction(async (sql) => {
    await holdProof(sql, proof)
    await sql.run(
      `update proof_anchor a
          set transactions = kept.all, nonce = case when kept.has_nonce then nonce end
         from (select coalesce(jsonb_agg(t order by place), '[]') as all,
                      coalesce(bool_or((t -> 'nonce')::bigint = $3), false) as has_nonce
                 from proof_anchor o, jsonb_array_elements(o.transactions) with ordinality as x (t, place)
                where o.proof_id = $1 and t ->> 'hash' <> $2) kept
        where a.proof_id = $1`,
      [proof.id, hash, nonce],
    )
  })
}

/** Gives up a nonce that another transaction has in a finalised block. @throws CONFLICT */
export async function releaseNonce(db: Database, proof: Leased): Promise<void> {
  await db.transaction(async (sql) => {
    await holdProof(sql, proof)
    await sql.run('update proof_anchor set nonce = null where proof_id = $1', [proof.id])
  })
}

/** Where the anchor is now. */
export interface AnchorPlace {
  state: 'pending' | 'included' | 'final'
  /** Null when it is in no block, or was anchored by somebody else. */
  transaction: string | null
  block: { number: bigint; hash: string } | null
}

/** @throws CONFLICT */
export async function placeAnchor(
  db: Database,
  proof: Leased,
  { state, transaction, block }: AnchorPlace,
): Promise<void> {
  await db.transaction(async (sql) => {
    await holdProof(sql, proof)
    await sql.run(
      `update proof_anchor set state = $2, transaction = $3, block_number = $4, block_hash = $5
        where proof_id = $1 and (state, transaction, block_hash) is distinct from ($2, $3, $5)`,
      [proof.id, state, transaction, block && String(block.number), block && block.hash],
    )
  })
}
