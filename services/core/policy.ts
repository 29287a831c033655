import { z } from 'zod'
import { DAY_MS, MINUTE_MS, parseDurationMs } from './units.ts'

const label = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a label is lower-case letters, digits and dashes')
  .describe('A label of nodes, such as region, zone, provider, tier, country')
const labelValues = z.array(z.string().min(1).max(64)).min(1).max(64)
const copies = z.number().int().min(1).max(32)

export const PolicyRule = z.union([
  z.strictObject({ spread: label, max: copies }).describe('At most `max` copies where this label has the same value'),
  z
    .strictObject({ spread: label, distinct: copies })
    .describe('Copies must lie in at least `distinct` values of this label'),
  z.strictObject({ require: label, in: labelValues, copies }).describe('At least `copies` copies on such nodes'),
  z.strictObject({ forbid: label, in: labelValues }).describe('No copy on such nodes'),
  z
    .strictObject({ prefer: label, in: labelValues, weight: z.number().min(0.01).max(100) })
    .describe('Such nodes are this many times as likely'),
])
export type PolicyRule = z.infer<typeof PolicyRule>

/** Longer than anybody waits, and short enough to be added to a time. */
const LONGEST_DURATION_MS = 3_650 * DAY_MS
/** Copies that are read back without a pause would keep disks from everything else. */
export const LEAST_VERIFY_MS = MINUTE_MS

const duration = z
  .string()
  .refine((text) => parseDurationMs(text) !== undefined, 'a duration such as 10m, 24h or 30d')
  .refine((text) => (parseDurationMs(text) ?? 0) <= LONGEST_DURATION_MS, 'at most 3650d')
const pauseOfVerify = duration.refine((text) => (parseDurationMs(text) ?? 0) >= LEAST_VERIFY_MS, 'at least 1m')

/** What a pin's owner wants of its copies, as the API takes and answers it. */
export const Policy = z
  .strictObject({
    copies: z
      .strictObject({
        min: copies.describe('Verified, durable copies for the status `pinned`'),
        target: copies.describe('Copies that the cluster works to keep'),
      })
      .refine(({ min, target }) => min <= target, 'copies.min must not be above copies.target'),
    rules: z.array(PolicyRule).max(32).default([]),
    heal: z.strictObject({ after: duration }).optional().describe('How long a silent node is waited for'),
    verify: z.strictObject({ every: pauseOfVerify }).optional().describe('How often holders prove their copies'),
  })
  .meta({ id: 'Policy' })
export type Policy = z.infer<typeof Policy>

export const PolicyName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'lower-case letters, digits and dashes')

export const DEFAULT_POLICY_NAME = 'default'

/**
 * The policy of pins that name none: three copies, `pinned` once two of them in two regions are verified. Placement
 * takes a new region first for as long as there is one, and a second copy in a region before it leaves one missing.
 */
export const DEFAULT_POLICY: Policy = {
  copies: { min: 2, target: 3 },
  rules: [{ spread: 'region', distinct: 2 }],
}
