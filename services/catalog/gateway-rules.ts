import { createHash } from 'node:crypto'
import { PART_CHARACTERS, type GatewayRules, type RulesDocument } from '../core/gateway-rules.ts'
import { readAccess } from './access-rules.ts'
import type { Sql } from './database.ts'
import { denylistPart, listDenylists } from './denylists.ts'
import type { Seal } from './sealed-secret.ts'
import { readSigningKeys } from './signing-keys.ts'

/** What gateways go by, with the document that is made of rows rather than stored. */
export interface RulesReading {
  rules: GatewayRules
  /** Parts of the document `rules.access`. */
  accessParts: string[]
  /** The database's time: milliseconds since 1970. */
  clockMs: number
}

/** The rules as they are now. Equal ones have equal versions. @param seal undefined: there are no signed URLs */
export async function readGatewayRules(sql: Sql, seal: Seal | undefined): Promise<RulesReading> {
  const lists = await listDenylists(sql)
  const accessParts = inParts((await readAccess(sql)).map((line) => `${JSON.stringify(line)}\n`))
  const signingKeys = seal === undefined ? [] : await readSigningKeys(sql, seal)
  const [clock] = await sql.query<{ ms: number }>('select extract(epoch from clock_timestamp())::float8 * 1000 as ms')
  const content = {
    denylists: lists.map(({ name, status, hash, bytes, parts }) => ({ name, status, hash, bytes, parts })),
    access: documentOf(accessParts),
    signingKeys,
  }
  const version = createHash('sha256').update(JSON.stringify(content)).digest('base64url')
  return { rules: { version, ...content }, accessParts, clockMs: clock?.ms ?? 0 }
}

/** A part of one of the documents; undefined when there is no document with that hash any more. */
export async function rulesPart(
  sql: Sql,
  { rules, accessParts }: RulesReading,
  hash: string,
  part: number,
): Promise<string | undefined> {
  return hash === rules.access.hash ? accessParts[part] : await denylistPart(sql, hash, part)
}

function documentOf(parts: readonly string[]): RulesDocument {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  const bytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  return { hash: digest.digest('hex'), bytes, parts: parts.length }
}

function inParts(lines: readonly string[]): string[] {
  const parts: string[] = []
  for (const line of lines) {
    const last = parts.at(-1)
    if (last === undefined || last.length + line.length > PART_CHARACTERS) parts.push(line)
    else parts[parts.length - 1] = last + line
  }
  return parts
}
