import type { CID } from 'multiformats/cid'
import { toV1 } from '../core/cid.ts'
import { PIN_STATUSES, type PinStatus } from '../core/pin.ts'
import type { Sql } from './database.ts'
import { foldName, PIN_COLUMNS, pinOf, type PinColumns, type PinRow } from './pins.ts'

type NameMatch = 'exact' | 'iexact' | 'partial' | 'ipartial'

/** Filters of a list; a pin must pass all that are there. */
export interface PinQuery {
  /** Any of these roots, whatever version or base their CIDs were written in. */
  cids?: readonly CID[] | undefined
  name?: string | undefined
  /** How `name` is compared; `exact` when undefined. */
  match?: NameMatch | undefined
  statuses: readonly PinStatus[]
  /** RFC 3339: created before, or after, that very moment. */
  before?: string | undefined
  after?: string | undefined
  /** The pin's `meta` has all of these pairs. */
  meta?: Readonly<Record<string, string>> | undefined
  limit: number
}

export interface PinPage {
  /** The newest first. */
  pins: PinRow[]
  /** Pins that pass all filters, on this page and not. With filters they are counted up to {@link MOST_COUNTED}. */
  count: number
  /** False when there are more than were counted. */
  exact: boolean
}

/** Counting more than these would cost more than all the rest of a list. */
export const MOST_COUNTED = 10_000

/**
 * A page of a tenant's pins. Clients ask for the next one by `before`, the `created` of the last, and many cut that to
 * milliseconds: so a page does not end between two pins of one millisecond. It ends before them, or, when they alone are
 * more than `limit`, has all of them.
 */
export async function listPins(sql: Sql, tenantId: number, query: PinQuery): Promise<PinPage> {
  const filter = await filterOf(sql, tenantId, query)
  if (filter === undefined) return { pins: [], count: 0, exact: true }
  const [rows, counted] = await Promise.all([newest(sql, filter, query.limit + 1), countMatches(sql, filter)])
  return { pins: await wholeMilliseconds(sql, filter, rows, query.limit), ...counted }
}

interface Filter {
  tenantId: number
  /** Undefined: all. */
  statuses: readonly PinStatus[] | undefined
  conditions: string[]
  /** Of the conditions; the tenant is the first. */
  values: unknown[]
}

/** Undefined when nothing can match. */
async function filterOf(sql: Sql, tenantId: number, query: PinQuery): Promise<Filter | undefined> {
  const statuses = [...new Set(query.statuses)]
  if (statuses.length === 0) return undefined
  const filter: Filter = {
    tenantId,
    statuses: statuses.length === PIN_STATUSES.length ? undefined : statuses,
    conditions: ['p.tenant_id = $1'],
    values: [tenantId],
  }
  const parameter = (value: unknown): string => `$${filter.values.push(value)}`
  if (query.cids !== undefined) {
    const contents = await contentsOf(sql, query.cids)
    if (contents.length === 0) return undefined
    filter.conditions.push(`p.content_id = any (${parameter(contents)}::bigint[])`)
  }
  if (query.name !== undefined) filter.conditions.push(...nameConditions(query.name, query.match ?? 'exact', parameter))
  if (query.before !== undefined) filter.conditions.push(`p.created_at < ${parameter(query.before)}::timestamptz`)
  if (query.after !== undefined) filter.conditions.push(`p.created_at > ${parameter(query.after)}::timestamptz`)
  if (query.meta !== undefined) filter.conditions.push(`p.meta @> ${parameter(JSON.stringify(query.meta))}::jsonb`)
  return filter
}

async function contentsOf(sql: Sql, cids: readonly CID[]): Promise<string[]> {
  const rows = await sql.prepared<{ id: string }>('contents-of-cids', 'select id from content where cid = any ($1)', [
    cids.map((cid) => Buffer.from(toV1(cid).bytes)),
  ])
  return rows.map(({ id }) => id)
}

/** The folded name is the indexed one, so it narrows a search also where case counts. */
function nameConditions(name: string, match: NameMatch, parameter: (value: unknown) => string): string[] {
  const folded = foldName(name)
  if (match === 'partial' || match === 'ipartial') {
    const conditions = [`p.folded_name like ${parameter(containing(folded))}`]
    if (match === 'partial') conditions.push(`p.name like ${parameter(containing(name))}`)
    return conditions
  }
  const conditions = [`p.folded_name = ${parameter(folded)}`]
  if (match === 'exact') conditions.push(`p.name = ${parameter(name)}`)
  return conditions
}

/** The LIKE pattern of texts that contain this one. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
}

/**
 * The newest pins that match. Each state has an index in the order of creation, so the newest of each are merged; asked for
 * several states at once, Postgres would read and sort all pins.
 */
function newest(sql: Sql, filter: Filter, limit: number): Promise<PinRow[]> {
  const statuses = filter.statuses
  const conditions = filter.conditions.join(' and ')
  const size = `$${filter.values.length + 1}::int`
  const matching = (status: string): string =>
    `select * from pin p where ${conditions} ${status} order by p.created_at desc limit ${size}`
  if (statuses === undefined || statuses.length === 1) {
    const status = statuses === undefined ? '' : `and p.status = '${statuses[0] ?? ''}'`
    return readPins(sql, matching(status), [...filter.values, limit])
  }
  const wanted = `unnest($${filter.values.length + 2}::text[]) as wanted (status)`
  const merged = `select p.* from ${wanted} cross join lateral (${matching('and p.status = wanted.status')}) p
    order by p.created_at desc limit ${size}`
  return readPins(sql, merged, [...filter.values, limit, statuses])
}

async function readPins(sql: Sql, pins: string, values: readonly unknown[]): Promise<PinRow[]> {
  const rows = await sql.query<PinColumns>(
    `select ${PIN_COLUMNS} from (${pins}) p join content c on c.id = p.content_id join policy y on y.id = p.policy_id
     order by p.created_at desc`,
    values,
  )
  return rows.map(pinOf)
}

async function countMatches(sql: Sql, filter: Filter): Promise<Pick<PinPage, 'count' | 'exact'>> {
  const isWhole = filter.statuses === undefined && filter.conditions.length === 1
  if (isWhole) return { count: await countAll(sql, filter.tenantId), exact: true }
  const status = filter.statuses === undefined ? '' : `and p.status = any ($${filter.values.length + 1}::text[])`
  const [row] = await sql.query<{ count: number }>(
    `select count(*)::int as count from (
       select from pin p where ${filter.conditions.join(' and ')} ${status} limit ${MOST_COUNTED + 1}) matching`,
    filter.statuses === undefined ? filter.values : [...filter.values, filter.statuses],
  )
  const count = row?.count ?? 0
  return { count: Math.min(count, MOST_COUNTED), exact: count <= MOST_COUNTED }
}

async function countAll(sql: Sql, tenantId: number): Promise<number> {
  const [row] = await sql.prepared<{ pins: number }>(
    'count-all-pins',
    'select pins::float8 as pins from tenant_usage where tenant_id = $1',
    [tenantId],
  )
  return row?.pins ?? 0
}

/** Milliseconds since 1970 are too coarse to compare microseconds, and exactly what is to be compared here. */
function millisecondOf({ createdAt }: PinRow): string {
  return createdAt.slice(0, -4)
}

/** The page of the first rows; `rows` has one more than `limit` when there are more. */
async function wholeMilliseconds(sql: Sql, filter: Filter, rows: readonly PinRow[], limit: number): Promise<PinRow[]> {
  const [last, next] = [rows[limit - 1], rows[limit]]
  if (last === undefined || next === undefined) return rows.slice(0, limit)
  const cut = millisecondOf(last)
  if (millisecondOf(next) !== cut) return rows.slice(0, limit)
  const before = rows.filter((row) => millisecondOf(row) !== cut)
  return before.length > 0 ? before : readMillisecond(sql, filter, cut)
}

/** All that match within a millisecond: a thousand at most, for no two have the same microsecond. */
async function readMillisecond(sql: Sql, filter: Filter, millisecond: string): Promise<PinRow[]> {
  const from = filter.values.length + 1
  const within: Filter = {
    ...filter,
    conditions: [
      ...filter.conditions,
      `p.created_at >= $${from}::timestamptz`,
      `p.created_at < $${from}::timestamptz + interval '1 millisecond'`,
    ],
    values: [...filter.values, `${millisecond}Z`],
  }
  return newest(sql, within, MICROSECONDS_IN_ONE)
}

const MICROSECONDS_IN_ONE = 1_000
