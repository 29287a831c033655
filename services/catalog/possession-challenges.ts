import { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import type { PossessionChallenge, PossessionReport } from '../core/sync.ts'
import type { Sql } from './database.ts'

/** A challenge whose answer does not come is told again. */
const TOLD_MS = 30_000

/**
 * Challenges that a node has not answered, half of them the oldest and half the newest, so that a large proof keeps no small
 * one waiting; it gets each again only after a while.
 */
export async function takeChallenges(sql: Sql, nodeId: number, limit: number): Promise<PossessionChallenge[]> {
  if (limit <= 0) return []
  const rows = await sql.prepared<Omit<PossessionChallenge, 'root'> & { cid: Buffer }>(
    'take-challenges',
    `with oldest as (
       select id from possession_challenge
        where node_id = $1 and answer is null and (told_until is null or told_until < now())
        order by id limit $2 for update skip locked),
     newest as (
       select id from possession_challenge
        where node_id = $1 and answer is null and (told_until is null or told_until < now())
        order by id desc limit $3 for update skip locked),
     next as (select id from newest union select id from oldest)
     update possession_challenge c
        set told_at = coalesce(c.told_at, now()), told_until = now() + make_interval(secs => $4 / 1000.0)
       from next where c.id = next.id
     returning c.id::text as id, c.cid, c.nonce, c.subjects`,
    [nodeId, Math.ceil(limit / 2), Math.floor(limit / 2), TOLD_MS],
  )
  return rows.map(({ cid, ...challenge }) => ({ ...challenge, root: cidKey(CID.decode(cid)) }))
}

/** Lets others be told at once what a call that was broken off had taken. */
export async function returnChallenges(sql: Sql, challenges: readonly PossessionChallenge[]): Promise<void> {
  if (challenges.length === 0) return
  await sql.run('update possession_challenge set told_until = null where id = any ($1::bigint[])', [
    challenges.map(({ id }) => id),
  ])
}

/** Keeps a node's answers, of each challenge the first; those to challenges of others, or that are over, are void. */
export async function saveAnswers(sql: Sql, nodeId: number, reports: readonly PossessionReport[]): Promise<void> {
  await sql.run(
    `update possession_challenge c set answer = report, answered_at = clock_timestamp()
       from unnest($2::jsonb[]) as report
      where c.id = (report ->> 'id')::bigint and c.node_id = $1 and c.answer is null`,
    [nodeId, reports.map((report) => JSON.stringify(report))],
  )
}
