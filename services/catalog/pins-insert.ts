import { randomUUIDv7 } from 'node:crypto'
import { HoldfastError } from '../core/errors.ts'
import { DEFAULT_POLICY_NAME } from '../core/policy.ts'
import { contentKey, lockContents, type LockedContent, type Reference } from './content-references.ts'
import type { Sql } from './database.ts'
import { currentPolicyIds } from './policies.ts'
import { momentText, nextMoments } from './pins-clock.ts'
import { foldName, type FirstCopy, type NewPin, type PinRow } from './pins.ts'
import { enqueue } from './reconcile-queue.ts'
import { recheckCopies, retryCopies, storeFirstCopies } from './pins-copies.ts'
import { lockTenant } from './tenant-lock.ts'

/** A pin to be written, and the claim of a pin that it takes the place of. */
export interface Wanted {
  pin: NewPin
  replaces?: Reference | undefined
}

/**
 * Writes a tenant's pins, in their order, within the transaction: counted against its quota (what takes the place of
 * another pin is not), each with a `created` of its own, as `queued`; the contents are claimed and queued for placement.
 * Answers a pin, or why it was refused, for each.
 */
export async function insertPins(
  sql: Sql,
  tenantId: number,
  wanted: readonly Wanted[],
): Promise<(PinRow | HoldfastError)[]> {
  // The lock first: a policy that is saved from now on finds these pins when it looks for those that shall follow it.
  const [tenant, policies] = await Promise.all([
    lockTenant(sql, tenantId),
    currentPolicyIds(sql, tenantId, [...new Set(wanted.map(policyName))]),
  ])
  let room = tenant.maxPins === null ? Number.POSITIVE_INFINITY : tenant.maxPins - tenant.pins
  const refusals = wanted.map((want) => {
    if (!policies.has(policyName(want))) return unknownPolicy(policyName(want))
    if (want.replaces !== undefined) return undefined
    return room-- > 0 ? undefined : quotaExceeded(tenant.maxPins)
  })
  const accepted = wanted.filter((_, index) => refusals[index] === undefined)
  const rows = await write(
    sql,
    tenantId,
    accepted,
    policies,
    nextMoments(BigInt(tenant.last), BigInt(tenant.now), accepted.length),
  )
  let next = 0
  return refusals.map((refusal) => refusal ?? (rows[next++] as PinRow))
}

function policyName({ pin }: Wanted): string {
  return pin.policy ?? DEFAULT_POLICY_NAME
}

function unknownPolicy(name: string): HoldfastError {
  return new HoldfastError('BAD_REQUEST', `There is no policy named ${name}.`)
}

function quotaExceeded(maxPins: number | null): HoldfastError {
  return new HoldfastError('INSUFFICIENT_FUNDS', `The account has all of its ${maxPins ?? 0} pins. Remove some first.`)
}

async function write(
  sql: Sql,
  tenantId: number,
  wanted: readonly Wanted[],
  policies: ReadonlyMap<string, number>,
  moments: readonly bigint[],
): Promise<PinRow[]> {
  if (wanted.length === 0) return []
  const keys = wanted.map(({ pin }) => contentKey(pin.cid))
  const [contents] = await Promise.all([
    lockContents(sql, keys),
    countPins(sql, tenantId, wanted, moments.at(-1) ?? 0n),
  ])
  const drafts = wanted.map((want, index): Draft => {
    const { id: contentId } = contents.get(keys[index] ?? '') as LockedContent
    const policyId = policies.get(policyName(want)) ?? 0
    return { ...want, id: randomUUIDv7(), contentId, policyId, us: moments[index] ?? 0n }
  })
  const locked = [...contents.values()]
  const ids = locked.map(({ id }) => id)
  const [figures] = await Promise.all([
    claimContents(sql, wanted, contents),
    insertRows(sql, tenantId, drafts),
    storeFirstCopies(sql, drafts.flatMap(firstCopyOf)),
    retryCopies(
      sql,
      locked.filter(({ gaveUp }) => gaveUp).map(({ id }) => id),
    ),
    recheckCopies(sql, ids),
    enqueue(sql, ids),
  ])
  return drafts.map((draft) => rowOf(draft, figures.get(draft.contentId)))
}

function firstCopyOf({ contentId, pin }: Draft): (FirstCopy & { contentId: string })[] {
  return pin.firstCopy === undefined ? [] : [{ contentId, ...pin.firstCopy }]
}

async function countPins(sql: Sql, tenantId: number, wanted: readonly Wanted[], lastUs: bigint): Promise<void> {
  const added = wanted.filter(({ replaces }) => replaces === undefined).length
  await sql.prepared(
    'count-pins',
    `update tenant_usage set pins = pins + $2, last_created = timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
     where tenant_id = $1`,
    [tenantId, added, lastUs.toString()],
  )
}

interface Figures {
  bytes: number | null
  blocks: number | null
}

/** Adds the pins' claims to the contents, with the newest hints and the figures of first copies. */
async function claimContents(
  sql: Sql,
  wanted: readonly Wanted[],
  contents: ReadonlyMap<string, LockedContent>,
): Promise<Map<string, Figures>> {
  const claims = [...Map.groupBy(wanted, ({ pin }) => contentKey(pin.cid))].map(([key, group]) => {
    const origins = group.findLast(({ pin }) => (pin.origins?.length ?? 0) > 0)?.pin.origins
    const copy = group.find(({ pin }) => pin.firstCopy !== undefined)?.pin.firstCopy
    return { id: contents.get(key)?.id, pins: group.length, origins, bytes: copy?.bytes, blocks: copy?.blocks }
  })
  const rows = await sql.prepared<Figures & { id: string }>(
    'claim-contents',
    `update content c
        set pins = c.pins + claim.pins, idle_since = null, given_up = null, given_up_code = null,
            origins = coalesce(claim.origins, c.origins),
            bytes = coalesce(c.bytes, claim.bytes), blocks = coalesce(c.blocks, claim.blocks)
       from jsonb_to_recordset($1) as claim (id bigint, pins integer, origins text[], bytes bigint, blocks bigint)
      where c.id = claim.id
      returning c.id, c.bytes::float8 as bytes, c.blocks::float8 as blocks`,
    [JSON.stringify(claims)],
  )
  return new Map(rows.map(({ id, ...figures }) => [id, figures]))
}

interface Draft extends Wanted {
  id: string
  contentId: string
  policyId: number
  us: bigint
}

async function insertRows(sql: Sql, tenantId: number, drafts: readonly Draft[]): Promise<void> {
  const rows = drafts.map(({ id, contentId, policyId, us, pin, replaces }) => ({
    id,
    content_id: contentId,
    policy_id: policyId,
    cid: pin.cidText,
    name: pin.name,
    folded_name: pin.name === undefined ? undefined : foldName(pin.name),
    us: us.toString(),
    origins: pin.origins ?? [],
    meta: pin.meta ?? {},
    expires_at: pin.expiresAt,
    profile: pin.profile,
    max_bytes: pin.maxBytes,
    replaces_content_id: replaces?.contentId,
    replaces_policy_id: replaces?.policyId,
  }))
  await sql.prepared(
    'insert-pins',
    `with wanted as materialized (
       select * from jsonb_to_recordset($2) as pin (
         id uuid, content_id bigint, policy_id integer, cid text, name text, folded_name text, us bigint, origins text[],
         meta jsonb, expires_at timestamptz, profile text, max_bytes bigint, replaces_content_id bigint, replaces_policy_id integer)
     ), claimed as (
       insert into content_policy (content_id, policy_id, pins)
       select content_id, policy_id, count(*) from wanted group by content_id, policy_id order by content_id, policy_id
       on conflict (content_id, policy_id) do update set pins = content_policy.pins + excluded.pins
     )
     insert into pin (tenant_id, id, content_id, policy_id, cid, name, folded_name, created_at, origins, meta, expires_at,
                      profile, max_bytes, replaces_content_id, replaces_policy_id)
     select $1, id, content_id, policy_id, cid, name, folded_name,
            timestamptz 'epoch' + us * interval '1 microsecond', origins, meta, expires_at,
            profile, max_bytes, replaces_content_id, replaces_policy_id
     from wanted`,
    [tenantId, JSON.stringify(rows)],
  )
}

function rowOf(draft: Draft, figures: Figures | undefined): PinRow {
  const { pin } = draft
  return {
    id: draft.id,
    contentId: draft.contentId,
    status: 'queued',
    createdAt: momentText(draft.us),
    cid: pin.cidText,
    name: pin.name,
    origins: pin.origins ?? [],
    meta: pin.meta ?? {},
    policy: policyName(draft),
    expiresAt: pin.expiresAt,
    profile: pin.profile,
    bytes: figures?.bytes ?? undefined,
    blocks: figures?.blocks ?? undefined,
    problem: undefined,
  }
}
