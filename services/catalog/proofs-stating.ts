import type { HolderRefusal } from '../core/proof/judge-holders.ts'
import type { StatementOfProof } from '../core/proof/proof-file.ts'
import type { Database, Sql } from './database.ts'
import { advance, lost, type Leased, type LeasedProof } from './proofs-lease.ts'

export interface JudgedContent {
  place: number
  cid: string
  refused: HolderRefusal[]
  statements: { leaf: Uint8Array; statement: StatementOfProof }[]
}

/** Saves statements, and forgets the answers that they were made of. @throws CONFLICT */
export async function saveStatements(
  db: Database,
  proof: Leased,
  { contents, first }: { contents: readonly JudgedContent[]; first: number },
): Promise<void> {
  const stated = contents.flatMap(({ cid, statements }) => statements.map((one) => ({ cid, ...one })))
  const places = contents.map(({ place }) => place)
  await db.transaction(async (sql) => {
    const touched = await sql.run('update proof set statements = $3 where id = $1 and lease = $2', [
      proof.id,
      proof.lease,
      first + stated.length,
    ])
    if (touched === 0) throw lost()
    await sql.run(
      `insert into proof_statement (proof_id, place, cid, leaf, statement)
       select $1, $2 + s.nth - 1, s.cid, s.leaf, s.statement
         from unnest($3::text[], $4::bytea[], $5::jsonb[]) with ordinality as s (cid, leaf, statement, nth)`,
      [
        proof.id,
        first,
        stated.map(({ cid }) => cid),
        stated.map(({ leaf }) => Buffer.from(leaf)),
        stated.map(({ statement }) => JSON.stringify(statement)),
      ],
    )
    await sql.run(
      `update proof_content c set is_judged = true, is_stated = judged.is_stated, refused = judged.refused
         from unnest($2::int[], $3::jsonb[], $4::boolean[]) as judged (place, refused, is_stated)
        where c.proof_id = $1 and c.place = judged.place`,
      [
        proof.id,
        places,
        contents.map(({ refused }) => JSON.stringify(refused)),
        contents.map(({ statements }) => statements.length > 0),
      ],
    )
    await sql.run('delete from possession_challenge where proof_id = $1 and place = any ($2)', [proof.id, places])
  })
}

/** All statements are there; they are signed next. @throws CONFLICT */
export async function beginStating(sql: Sql, proof: Leased): Promise<void> {
  await advance(sql, proof, 'stating')
}

/** What was kept and signed. */
export interface SignedProof {
  root: string
  chainId: number
  contract: string
  signer: string
  signature: string
}

/** Remembers where the statements are kept and when they were taken, before they are signed. @throws CONFLICT */
export async function saveManifest(
  sql: Sql,
  { id, lease }: Leased,
  { manifest, takenAt }: { manifest: string | null; takenAt: number },
): Promise<void> {
  const touched = await sql.run(
    'update proof set manifest = $3, taken_at = to_timestamp($4::float8) where id = $1 and lease = $2',
    [id, lease, manifest, takenAt],
  )
  if (touched === 0) throw lost()
}

/** @throws CONFLICT */
export async function saveSignature(
  db: Database,
  proof: Leased & Pick<LeasedProof, 'anchorKind'>,
  signed: SignedProof,
) {
  await db.transaction(async (sql) => {
    await advance(sql, proof, proof.anchorKind === 'none' ? 'done' : 'anchoring')
    await sql.run(
      'update proof set root = $2, chain_id = $3, contract = $4, signer = $5, signature = $6 where id = $1',
      [proof.id, signed.root, signed.chainId, signed.contract, signed.signer, signed.signature],
    )
  })
}
