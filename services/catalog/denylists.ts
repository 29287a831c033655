import { createHash } from 'node:crypto'
import { Denylist, MAX_DENYLIST_LINE_BYTES } from '../core/denylist.ts'
import { HoldfastError } from '../core/errors.ts'
import { PART_CHARACTERS, type RulesDocument } from '../core/gateway-rules.ts'
import { formatSize, MIB } from '../core/units.ts'
import type { Database, Sql } from './database.ts'

/** Ten times the largest public list. */
export const MAX_DENYLIST_BYTES = 256 * MIB

/** A list as it was saved. */
export interface SavedDenylist extends RulesDocument {
  name: string
  /** Of its denials, where the list says nothing else. */
  status: 410 | 451
  rules: number
  /** Lines that are no rules, and do nothing. */
  skipped: number
  updatedAt: string
}

const COLUMNS = `name, status, encode(hash, 'hex') as hash, bytes::float8 as bytes, parts, rules, skipped,
  updated_at as "updatedAt"`

export function listDenylists(sql: Sql): Promise<SavedDenylist[]> {
  return sql.query<SavedDenylist>(`select ${COLUMNS} from denylist order by name`)
}

export async function getDenylist(sql: Sql, name: string): Promise<SavedDenylist | undefined> {
  const [saved] = await sql.query<SavedDenylist>(`select ${COLUMNS} from denylist where name = $1`, [name])
  return saved
}

/**
 * Saves a list in place of the one of that name, all or nothing. The text is written as it comes and never held whole.
 * @returns `created` when there was none of that name
 * @throws PAYLOAD_TOO_LARGE; BAD_REQUEST when it is no UTF-8, its header cannot be read, or a line is endless
 */
export async function putDenylist(
  db: Database,
  list: { name: string; status: 410 | 451; text: AsyncIterable<Uint8Array> },
): Promise<{ saved: SavedDenylist; created: boolean }> {
  const { name, status } = list
  // A transaction that is repeated would find the body read already.
  const parts: { used: boolean } = { used: false }
  return await db.transaction(async (sql) => {
    if (parts.used) throw new HoldfastError('UNAVAILABLE', 'The list could not be saved. Try again.')
    parts.used = true
    await sql.query(`select pg_advisory_xact_lock(hashtextextended('denylist ' || $1, 0))`, [name])
    const created = (await sql.run('delete from denylist where name = $1', [name])) === 0
    const counted = new Denylist(name)
    const digest = createHash('sha256')
    let [bytes, part] = [0, 0]
    for await (const text of partsOf(list.text)) {
      bytes += Buffer.byteLength(text)
      digest.update(text)
      for (const line of text.split('\n')) counted.add(line)
      await sql.run('insert into denylist_part (name, part, text) values ($1, $2, $3)', [name, part, text])
      part += 1
    }
    counted.end()
    const [saved] = await sql.query<SavedDenylist>(
      `insert into denylist (name, hash, status, bytes, parts, rules, skipped) values ($1, $2, $3, $4, $5, $6, $7)
       returning ${COLUMNS}`,
      [name, digest.digest(), status, bytes, part, counted.rules, counted.skipped],
    )
    if (saved === undefined) throw new Error(`denylist ${name} was not saved`)
    return { saved, created }
  })
}

export async function deleteDenylist(sql: Sql, name: string): Promise<boolean> {
  return (await sql.run('delete from denylist where name = $1', [name])) > 0
}

/** One part of the list with that hash; undefined when there is no such list any more. */
export async function denylistPart(sql: Sql, hash: string, part: number): Promise<string | undefined> {
  const [row] = await sql.query<{ text: string }>(
    `select part.text from denylist_part as part join denylist as list on list.name = part.name
     where list.hash = $1 and part.part = $2 limit 1`,
    [Buffer.from(hash, 'hex'), part],
  )
  return row?.text
}

/** The text in parts that each end with a line. */
async function* partsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let pending = ''
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > MAX_DENYLIST_BYTES) {
      throw new HoldfastError('PAYLOAD_TOO_LARGE', `A denylist may have at most ${formatSize(MAX_DENYLIST_BYTES)}.`)
    }
    pending += decoded(() => decoder.decode(chunk, { stream: true }))
    if (pending.length < PART_CHARACTERS) continue
    const end = pending.lastIndexOf('\n') + 1
    if (end === 0 || pending.length - end > MAX_DENYLIST_LINE_BYTES) refuseLine()
    yield pending.slice(0, end)
    pending = pending.slice(end)
  }
  pending += decoded(() => decoder.decode())
  if (pending !== '') yield pending
}

function decoded(decode: () => string): string {
  let text: string
  try {
    text = decode()
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'A denylist is UTF-8 text.', { cause })
  }
  if (text.includes('\0')) throw new HoldfastError('BAD_REQUEST', 'A denylist has no NUL in it.')
  return text
}

function refuseLine(): never {
  throw new HoldfastError(
    'BAD_REQUEST',
    `A line of a denylist may have at most ${formatSize(MAX_DENYLIST_LINE_BYTES)}.`,
  )
}
