import { refusedCopies, statementsOf } from '../catalog/proofs.ts'
import type { Sql } from '../catalog/database.ts'
import { canonicalJson, type Json } from '../core/collection-report/canonical-json.ts'
import type { ChallengeSource } from '../core/proof/challenge.ts'

const SCHEMA = 'holdfast-proof-manifest-1'
/** Roots whose missing copies are named. */
const MOST_REFUSED = 10_000

/** All that a proof states and could not state, in canonical JSON (RFC 8785): leaves can be made of it again. */
export async function* manifestJson(
  sql: Sql,
  { id, seed, root, takenAt }: { id: string; seed: ChallengeSource; root: string; takenAt: number },
): AsyncGenerator<string> {
  const refused = await refusedCopies(sql, id, MOST_REFUSED)
  const head = canonicalJson({ refused: refused as unknown as Json, root, schema: SCHEMA, seed, takenAt })
  // `statements` comes behind `seed` and before `takenAt`.
  const cut = head.lastIndexOf(',"takenAt":')
  yield `${head.slice(0, cut)},"statements":[`
  let separator = ''
  for await (const { statement } of statementsOf(sql, id)) {
    yield separator + canonicalJson(statement as unknown as Json)
    separator = ','
  }
  yield `]${head.slice(cut)}\n`
}
