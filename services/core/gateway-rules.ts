import { z } from 'zod'
import { AccessRule } from './access-rule.ts'

/**
 * What gateways are told by the control plane: denylists, and who may read restricted roots. A node is sent the short
 * list of documents with `sync` when it changes, and gets those that it does not have by their hash, part by part, so
 * that a change of one list does not move another.
 */

/** Lines of text, in parts that each end with a line. */
const Document = z.strictObject({
  hash: z.hex().length(64).describe('SHA-256 of the text'),
  bytes: z.number().int().nonnegative(),
  parts: z.number().int().nonnegative(),
})
export type RulesDocument = z.infer<typeof Document>

export const GatewayRules = z.strictObject({
  /** Equal rules have equal versions. */
  version: z.string().max(64),
  denylists: z.array(z.strictObject({ name: z.string(), status: z.literal([410, 451]), ...Document.shape })),
  /** Lines of {@link AccessLine}. */
  access: Document,
  /** Keys of signed URLs. Never written to a node's disk. */
  signingKeys: z.array(z.strictObject({ tenant: z.number().int(), key: z.base64url() })),
})
export type GatewayRules = z.infer<typeof GatewayRules>

/** One fact about restricted content. */
export const AccessLine = z.union([
  /** Any of the tenants lets readers in. */
  z.strictObject({
    root: z.string().max(512),
    allowedBy: z.array(z.strictObject({ tenant: z.number().int(), rule: AccessRule })),
  }),
  z.strictObject({
    /** SHA-256 of a token with the scope `gateway:read`, in hex. */
    token: z.hex().length(64),
    tenant: z.number().int(),
    /** Milliseconds since 1970 by the database's clock; null: it does not expire. */
    expiresMs: z.number().nullable(),
  }),
])
export type AccessLine = z.infer<typeof AccessLine>

/** A document is cut after the line that makes a part as long as this. */
export const PART_CHARACTERS = 1_024 * 1_024
