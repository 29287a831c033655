import type { Database, Sql } from './database.ts'

/** A transaction that was signed, and perhaps sent. */
export interface AnchorTransaction {
  hash: string
  raw: string
  nonce: number
  /** Wei for a unit of gas, decimal. */
  maxFee: string
  /** Milliseconds since 1970, by the database's clock. */
  signedAt: number
}

export interface Anchor {
  chainId: number
  publisher: string
  /** Reserved for it; null: not yet. */
  nonce: number | null
  /** The newest last. */
  transactions: AnchorTransaction[]
  state: 'pending' | 'included' | 'final'
}

/** What is written down of a proof's anchor; it is begun when there is nothing yet. */
export async function openAnchor(
  sql: Sql,
  proofId: string,
  { chainId, publisher }: Pick<Anchor, 'chainId' | 'publisher'>,
): Promise<Anchor> {
  await sql.run(
    'insert into proof_anchor (proof_id, chain_id, publisher) values ($1, $2, $3) on conflict (proof_id) do nothing',
    [proofId, chainId, publisher],
  )
  const [row] = await sql.query<Anchor>(
    `select chain_id::float8 as "chainId", publisher, nonce::float8 as nonce, transactions, state
       from proof_anchor where proof_id = $1`,
    [proofId],
  )
  return row as Anchor
}

/** Any number of its own: nonces of an account are given out one after the other. */
const NONCE_LOCK = 5_701_340_223

/**
 * Reserves the next nonce of the account: the chain's, or the one behind those that are reserved.
 * @param chainNonce what the chain takes next
 */
export async function reserveNonce(db: Database, proofId: string, chainNonce: number): Promise<number> {
  return await db.transaction(async (sql) => {
    await sql.query('select pg_advisory_xact_lock($1)', [NONCE_LOCK])
    const [row] = await sql.query<{ nonce: number }>(
      `update proof_anchor a
          set nonce = greatest($2::bigint, (select max(o.nonce) + 1 from proof_anchor o
                                             where o.chain_id = a.chain_id and o.publisher = a.publisher
                                               and o.proof_id <> a.proof_id and o.nonce >= $2))
        where a.proof_id = $1 returning nonce::float8 as nonce`,
      [proofId, chainNonce],
    )
    return (row as { nonce: number }).nonce
  })
}

/** Gives a nonce back under which nothing was written down, so that it leaves no gap that others wait behind. */
export async function returnNonce(sql: Sql, proofId: string): Promise<void> {
  await sql.run(
    `update proof_anchor set nonce = null
      where proof_id = $1 and not transactions @> jsonb_build_array(jsonb_build_object('nonce', nonce))`,
    [proofId],
  )
}

/** Whether another proof has reserved that nonce of the account. */
export async function isReserved(sql: Sql, { chainId, publisher }: Anchor, nonce: number): Promise<boolean> {
  const found = await sql.query('select from proof_anchor where chain_id = $1 and publisher = $2 and nonce = $3', [
    chainId,
    publisher,
    nonce,
  ])
  return found.length > 0
}

/** Writes a transaction down, which is to happen before it is sent. */
export async function addTransaction(
  sql: Sql,
  proofId: string,
  transaction: Omit<AnchorTransaction, 'signedAt'>,
): Promise<void> {
  await sql.run(
    `update proof_anchor
        set transactions = transactions || ($2::jsonb || jsonb_build_object(
              'signedAt', floor(extract(epoch from clock_timestamp()) * 1000)))
      where proof_id = $1`,
    [proofId, JSON.stringify(transaction)],
  )
}

/** Milliseconds since the newest transaction was signed. */
export async function signedAgoMs(sql: Sql, { signedAt }: AnchorTransaction): Promise<number> {
  const [row] = await sql.query<{ ms: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 - $1::float8 as ms',
    [signedAt],
  )
  return row?.ms ?? 0
}

/** Where the anchor is now. */
export interface AnchorPlace {
  state: Anchor['state']
  /** Null when it is in no block, or was anchored by somebody else. */
  transaction: string | null
  block: { number: bigint; hash: string } | null
}

export async function placeAnchor(
  sql: Sql,
  proofId: string,
  { state, transaction, block }: AnchorPlace,
): Promise<void> {
  await sql.run(
    `update proof_anchor set state = $2, transaction = $3, block_number = $4, block_hash = $5
      where proof_id = $1 and (state, transaction, block_hash) is distinct from ($2, $3, $5)`,
    [proofId, state, transaction, block && String(block.number), block && block.hash],
  )
}
