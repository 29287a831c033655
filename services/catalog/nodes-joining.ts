import { randomBytes } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import type { Registration } from '../core/sync.ts'
import type { Database, Sql } from './database.ts'
import { violates } from './database-errors.ts'
import { hashToken, makeToken } from './token-text.ts'

const CHALLENGE_BYTES = 24
/** Any number of its own. */
const JOIN_LOCK = 5_701_340_223

/** A text to be signed at registration: good once, for a minute. */
export async function createChallenge(sql: Sql): Promise<string> {
  const challenge = randomBytes(CHALLENGE_BYTES).toString('base64url')
  await sql.query(
    `with old as (delete from join_challenge where created_at < now() - interval '1 minute')
     insert into join_challenge (challenge) values ($1)`,
    [challenge],
  )
  return challenge
}

/** Uses up a challenge. @throws UNAUTHORIZED when it was never given, is older than a minute, or was used before */
export async function takeChallenge(sql: Sql, challenge: string): Promise<void> {
  const taken = await sql.run(
    `delete from join_challenge where challenge = $1 and created_at >= now() - interval '1 minute'`,
    [challenge],
  )
  if (taken === 0) throw new HoldfastError('UNAUTHORIZED', 'The challenge is unknown or too old. Ask for another.')
}

export interface JoinToken {
  name: string
  createdAt: string
  expiresAt: string | null
  revokedAt: string | null
}

/**
 * A token that lets nodes join, shown once; only its hash is kept.
 * @param token the text to use, made when it is not given; the same text twice is one token
 */
export async function createJoinToken(
  sql: Sql,
  options: { name: string; token?: string; expiresAt?: string | null },
): Promise<string> {
  const token = options.token ?? makeToken()
  await sql.run(
    `insert into join_token (hash, name, expires_at) values ($1, $2, $3)
     on conflict (hash) do update set name = excluded.name, expires_at = excluded.expires_at, revoked_at = null`,
    [hashToken(token), options.name, options.expiresAt ?? null],
  )
  return token
}

export async function listJoinTokens(sql: Sql): Promise<JoinToken[]> {
  return await sql.query<JoinToken>(
    `select name, created_at as "createdAt", expires_at as "expiresAt", revoked_at as "revokedAt"
       from join_token order by created_at, name`,
  )
}

/** Nodes that joined stay; no further one joins by it. @throws NOT_FOUND */
export async function revokeJoinToken(sql: Sql, name: string): Promise<void> {
  const touched = await sql.run(`update join_token set revoked_at = coalesce(revoked_at, now()) where name = $1`, [
    name,
  ])
  if (touched === 0) throw new HoldfastError('NOT_FOUND', `There is no join token ${JSON.stringify(name)}.`)
}

export interface NewSession {
  registration: Registration
  sessionHash: Buffer
}

/**
 * Lets a node in, or back in: a new epoch and session, its work given back, its inventory wanted.
 * @throws UNAUTHORIZED when it is new and brings no valid join token; CONFLICT when another node has its name
 */
export async function registerNode(
  db: Database,
  session: NewSession,
): Promise<{ nodeId: number; name: string; epoch: number }> {
  try {
    return await db.transaction(async (sql) => {
      const known = (await renewNode(sql, session)) ?? (await addNode(sql, session))
      await sql.run(
        `insert into node_beat (node_id, capacity_bytes, free_bytes, stored_bytes, blocks, roots)
         values ($1, $2, 0, 0, 0, 0) on conflict (node_id) do update set at = clock_timestamp()`,
        [known.nodeId, session.registration.capacityBytes],
      )
      return known
    })
  } catch (error) {
    if (!violates(error, 'node_name_key')) throw error
    const named = JSON.stringify(session.registration.name)
    throw new HoldfastError('CONFLICT', `Another node is called ${named}.`, { cause: error })
  }
}

interface Joined {
  nodeId: number
  name: string
  epoch: number
}

async function renewNode(sql: Sql, { registration, sessionHash }: NewSession): Promise<Joined | undefined> {
  const [known] = await sql.query<Joined>(
    `update node
        set epoch = epoch + 1, session_hash = $2, name = coalesce($3, name), labels = $4, transfer = $5, gateway = $6,
            liveness = 'up', registered_at = clock_timestamp(), inventory_at = null,
            inventory_slice_at = null, lost_at = null
      where public_key = $1
      returning id as "nodeId", name, epoch`,
    [keyBytes(registration), sessionHash, registration.name ?? null, ...placeOf(registration)],
  )
  if (known === undefined) return undefined
  // What it did before it ended nobody knows: these are tries, so that no copy is taken for one that was never begun.
  await sql.run(
    `update replica r set lease = null, lease_until = null, attempts = r.attempts + 1, due_at = now()
       from (select content_id from replica where node_id = $1 and lease is not null
              order by content_id for update) mine
      where r.node_id = $1 and r.content_id = mine.content_id`,
    [known.nodeId],
  )
  return known
}

async function addNode(sql: Sql, session: NewSession): Promise<Joined> {
  const { registration, sessionHash } = session
  await checkJoinToken(sql, registration.joinToken)
  // Two that join at once must not find the same number free.
  await sql.query(`select pg_advisory_xact_lock($1)`, [JOIN_LOCK])
  const name = registration.name ?? (await freeName(sql, registration.labels['region'] ?? 'node'))
  const [added] = await sql.query<Joined>(
    `insert into node (public_key, session_hash, name, labels, transfer, gateway) values ($1, $2, $3, $4, $5, $6)
     returning id as "nodeId", name, epoch`,
    [keyBytes(registration), sessionHash, name, ...placeOf(registration)],
  )
  if (added === undefined) throw new HoldfastError('INTERNAL_ERROR', 'The node was not written.')
  return added
}

async function checkJoinToken(sql: Sql, token: string | undefined): Promise<void> {
  const found =
    token === undefined
      ? []
      : await sql.query(
          `select from join_token where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
          [hashToken(token)],
        )
  if (found.length === 0) throw new HoldfastError('UNAUTHORIZED', 'A new node needs a valid join token.')
}

/** `shanghai-1`, `shanghai-2`, … */
async function freeName(sql: Sql, region: string): Promise<string> {
  const stem =
    region
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '') || 'node'
  const rows = await sql.query<{ name: string }>(`select name from node where starts_with(name, $1)`, [`${stem}-`])
  const taken = new Set(rows.map(({ name }) => name))
  let number = 1
  while (taken.has(`${stem}-${number}`)) number++
  return `${stem}-${number}`
}

function keyBytes({ publicKey }: Registration): Buffer {
  return Buffer.from(publicKey, 'base64url')
}

function placeOf({ labels, transfer, gateway }: Registration): [string, string, string] {
  return [JSON.stringify(labels), transfer, gateway]
}
