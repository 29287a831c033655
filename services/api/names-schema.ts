import { z } from 'zod'
import type { SavedName } from '../catalog/names.ts'
import { DAY_MS, HOUR_MS, SECOND_MS } from '../core/units.ts'
import { storedText } from './stored-text.ts'

export const IPNS_RECORD = 'application/vnd.ipfs.ipns-record'

/** "Implementations SHOULD … 5 minutes" for names of anybody; sites want to be seen anew soon. */
const DEFAULT_TTL_MS = 60 * SECOND_MS
const TTL_SECONDS = { min: 5, max: DAY_MS / SECOND_MS }
const DEFAULT_LIFETIME_MS = 7 * DAY_MS
/** Below two days a DHT forgets it sooner than we put it again; above a year whoever replays an old record has a year. */
const LIFETIME_SECONDS = { min: (48 * HOUR_MS) / SECOND_MS, max: (365 * DAY_MS) / SECOND_MS }

const Ttl = z
  .number()
  .int()
  .min(TTL_SECONDS.min)
  .max(TTL_SECONDS.max)
  .describe(`How long others may go on with a record without asking again; ${DEFAULT_TTL_MS / SECOND_MS} when unset`)
const Lifetime = z
  .number()
  .int()
  .min(LIFETIME_SECONDS.min)
  .max(LIFETIME_SECONDS.max)
  .describe('How long a record is valid unless it is signed anew, which happens in time; 7 days when unset')

const Value = storedText({ min: 1, max: 4_096 }).describe('/ipfs/{cid}[/…], /ipns/{name}[/…], or a CID')

/** Labels are told from keys by their length. */
const Label = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'a label has up to 40 lower-case letters, digits and dashes')
  .describe('What the account calls the name; routes take it in place of the name')

export const NewName = z
  .strictObject({
    label: Label.optional(),
    mode: z
      .enum(['hosted', 'client-signed', 'watched'])
      .default('hosted')
      .describe('Whose key signs: one that is made or imported here, your own, or that of somebody else'),
    name: z.string().max(512).optional().describe('The name, for client-signed and watched ones'),
    key: z
      .base64()
      .max(16_384)
      .optional()
      .describe("A private key to import, in libp2p's form as `ipfs key export` writes it, in base64"),
    value: Value.optional().describe('What a hosted name is to point to at once'),
    record: z.base64().max(16_384).optional().describe('A signed record of the name, in base64'),
    ttlSeconds: Ttl.default(DEFAULT_TTL_MS / SECOND_MS),
    lifetimeSeconds: Lifetime.default(DEFAULT_LIFETIME_MS / SECOND_MS),
  })
  .meta({ id: 'NewName' })
export type NewName = z.output<typeof NewName>

const Sequence = z.string().regex(/^(0|[1-9]\d{0,19})$/, 'a decimal number')

export const NewValue = z
  .strictObject({
    value: Value,
    sequence: Sequence.optional().describe('Publish only while this is the sequence; the same as the header If-Match'),
    ttlSeconds: Ttl.optional(),
    lifetimeSeconds: Lifetime.optional(),
  })
  .meta({ id: 'NewValue' })
export type NewValue = z.output<typeof NewValue>

export const Name = z
  .object({
    name: z.string().describe('The key as a CIDv1 in base36, for /ipns/{name}'),
    label: z.string().nullable(),
    mode: z.enum(['hosted', 'client-signed', 'watched']),
    value: z.string().nullable().describe('The content path that the newest record says; null when there is none'),
    sequence: Sequence.describe('Of the newest record; 0 before the first'),
    ttlSeconds: z.number(),
    lifetimeSeconds: z.number(),
    validUntil: z.string().nullable(),
    state: z
      .enum(['none', 'live', 'ending', 'ended'])
      .describe('`ending`: the owner of the key is to publish soon. Hosted names are signed anew by themselves'),
    nodes: z.object({ reached: z.number(), of: z.number() }).describe('Nodes that have the newest record on disk'),
    targets: z
      .array(
        z
          .object({
            target: z.string().describe('`dht`, or the URL of a delegated router'),
            current: z.boolean().describe('Whether it took the newest record'),
            peers: z.number().nullable().describe('Peers of the DHT that took the last one'),
            problem: z.string().nullable().describe('Why it did not take one the last time; it is tried again'),
          })
          .meta({ id: 'NameTarget' }),
      )
      .describe('Whom the record is told beside the nodes'),
    createdAt: z.string(),
    updatedAt: z.string().nullable(),
  })
  .meta({ id: 'Name', description: 'An IPNS name of the account, with its newest record' })

/** 409, in the shape of all failures and with what the caller did not know. */
export const NameConflict = z
  .object({
    error: z.object({ reason: z.literal('CONFLICT'), details: z.string() }),
    current: Name,
  })
  .meta({ id: 'NameConflict' })

export const Records = z.object({
  records: z
    .array(
      z
        .object({ sequence: Sequence, value: z.string().nullable(), validUntil: z.string(), publishedAt: z.string() })
        .meta({ id: 'NameRecord' }),
    )
    .describe('The newest first; the newest hundred are kept'),
})

export const NamePath = z.object({ name: z.string().max(512) })

export function nameView(saved: SavedName): z.input<typeof Name> {
  return {
    name: saved.name,
    label: saved.label,
    mode: saved.mode,
    value: saved.target,
    sequence: saved.sequence,
    ttlSeconds: saved.ttlMs / SECOND_MS,
    lifetimeSeconds: saved.lifetimeMs / SECOND_MS,
    validUntil: saved.validUntil,
    state: saved.state,
    nodes: { reached: saved.nodesReached, of: saved.nodes },
    targets: saved.targets.map(({ isCurrent, ...told }) => ({ ...told, current: isCurrent })),
    createdAt: saved.createdAt,
    updatedAt: saved.receivedAt,
  }
}

export function etagOf({ sequence }: SavedName): { ETag: string } {
  return { ETag: `"${sequence}"` }
}
