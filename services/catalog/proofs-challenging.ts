import { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { ChallengeSource } from '../core/proof/challenge.ts'
import type { Policy } from '../core/policy.ts'
import type { PossessionReport } from '../core/sync.ts'
import type { Database, Sql } from './database.ts'
import { advance, type LeasedProof } from './proofs-lease.ts'

/**
 * Notes the roots that statements are wanted of, and challenges their holders: each answers for itself and for the next two.
 * @param nonce of the challenges
 * @returns numbers of the nodes that were challenged
 * @throws CONFLICT; UNPROCESSABLE when there are more roots than `most`
 */
export async function beginChallenging(
  db: Database,
  proof: Pick<LeasedProof, 'id' | 'lease' | 'tenantId' | 'wanted'>,
  { seed, nonce, most }: { seed: ChallengeSource; nonce: string; most: number },
): Promise<number[]> {
  return await db.transaction(async (sql) => {
    await advance(sql, proof, 'challenging')
    await sql.run('delete from proof_content where proof_id = $1', [proof.id])
    await sql.run('delete from possession_challenge where proof_id = $1', [proof.id])
    const contents = await addContents(sql, proof)
    if (contents > most) {
      throw new HoldfastError(
        'UNPROCESSABLE',
        `A proof has statements of at most ${most} roots; these are ${contents}.`,
      )
    }
    const nodes = await addChallenges(sql, proof.id, nonce)
    await sql.run('update proof set seed = $2, contents = $3, asked_at = clock_timestamp() where id = $1', [
      proof.id,
      JSON.stringify(seed),
      contents,
    ])
    return nodes
  })
}

function addContents(
  sql: Sql,
  { id, tenantId, wanted }: Pick<LeasedProof, 'id' | 'tenantId' | 'wanted'>,
): Promise<number> {
  return sql.run(
    `with wanted as (
       select unnest($3::uuid[]) as id
       union
       select distinct (link -> 'pin' ->> 'requestid')::uuid
         from verification_token t, jsonb_array_elements(t.finding::jsonb -> 'links') as link
        where t.verification_id = (select v.id from verification v
                                    where v.tenant_id = $2 and v.collection = $4 and v.state = 'done'
                                    order by v.created_at desc limit 1)
          and link -> 'pin' ->> 'requestid' is not null)
     insert into proof_content (proof_id, place, content_id, cid, policies)
     select $1, row_number() over (order by min(p.created_at), c.id) - 1, c.id,
            c.cid, jsonb_agg(distinct o.spec)
       from pin p join content c on c.id = p.content_id join policy o on o.id = p.policy_id
      where p.tenant_id = $2
        and (($3::uuid[] is null and $4::text is null) or p.id in (select w.id from wanted w))
      group by c.id`,
    [id, tenantId, wanted.pins ?? null, wanted.collection ?? null],
  )
}

async function addChallenges(sql: Sql, id: string, nonce: string): Promise<number[]> {
  await sql.run(
    `with holder as (
       select c.place, c.cid, n.id as node_id,
              translate(rtrim(encode(n.public_key, 'base64'), '='), '+/', '-_') as key,
              row_number() over (partition by c.place order by n.id) - 1 as nth,
              count(*) over (partition by c.place) as holders
         from proof_content c
         join replica r on r.content_id = c.content_id and r.state = 'verified'
         join node n on n.id = r.node_id and n.liveness <> 'down'
        where c.proof_id = $1)
     insert into possession_challenge (proof_id, place, node_id, cid, nonce, subjects)
     select $1, a.place, a.node_id, a.cid, $2,
            array_agg(b.key order by (b.nth - a.nth + a.holders) % a.holders)
       from holder a join holder b
         on b.place = a.place and (b.nth - a.nth + a.holders) % a.holders <= 2
      group by a.place, a.node_id, a.cid`,
    [id, nonce],
  )
  await sql.run(
    `update proof_content c
        set nodes = (select array_agg(p.subjects[1] order by p.id) from possession_challenge p
                      where p.proof_id = $1 and p.place = c.place)
      where c.proof_id = $1 and exists (select from possession_challenge p where p.proof_id = $1 and p.place = c.place)`,
    [id],
  )
  const nodes = await sql.query<{ nodeId: number }>(
    'select distinct node_id as "nodeId" from possession_challenge where proof_id = $1',
    [id],
  )
  return nodes.map(({ nodeId }) => nodeId)
}

/** How far the answers are. */
export interface ChallengeProgress {
  open: number
  /** Since the last answer came, they were asked, or a node that owes an answer has taken any challenge for the first time. */
  silentMs: number
}

export async function challengeProgress(sql: Sql, id: string): Promise<ChallengeProgress> {
  const [row] = await sql.query<ChallengeProgress>(
    `select count(*) filter (where c.answer is null)::int as open,
            extract(epoch from clock_timestamp() - greatest(p.asked_at, max(c.answered_at), (
              select max(o.told_at) from possession_challenge o
               where o.answer is null and o.node_id in (select w.node_id from possession_challenge w
                                    where w.proof_id = p.id and w.answer is null))))::float8 * 1000 as "silentMs"
       from proof p left join possession_challenge c on c.proof_id = p.id
      where p.id = $1 group by p.id, p.asked_at`,
    [id],
  )
  return row ?? { open: 0, silentMs: 0 }
}

/** A root with what its holders answered. */
export interface AnsweredContent {
  place: number
  cid: string
  policies: Policy[]
  /** Public keys of who was asked. */
  nodes: string[]
  /** When each answered: seconds since 1970. */
  answers: { node: string; answeredAt: number; report: PossessionReport }[]
}

/** Roots whose answers have not been judged. */
export async function unjudgedContents(sql: Sql, id: string, limit: number): Promise<AnsweredContent[]> {
  const rows = await sql.query<Omit<AnsweredContent, 'cid'> & { cid: Buffer }>(
    `select c.place, c.cid, c.policies, c.nodes,
            coalesce((select json_agg(json_build_object('node', p.subjects[1], 'report', p.answer,
                                                        'answeredAt', floor(extract(epoch from p.answered_at))))
                        from possession_challenge p
                       where p.proof_id = $1 and p.place = c.place and p.answer is not null), '[]') as answers
       from proof_content c where c.proof_id = $1 and not c.is_judged order by c.place limit $2`,
    [id, limit],
  )
  return rows.map(({ cid, ...content }) => ({ ...content, cid: cidKey(CID.decode(cid)) }))
}
