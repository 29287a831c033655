import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import { parseCid } from '../../core/cid.ts'
import { HoldfastError } from '../../core/errors.ts'
import { MAX_CID_TEXT } from '../../core/limits.ts'
import { PIN_STATUSES } from '../../core/pin.ts'
import { DEFAULT_POLICY_NAME, PolicyName } from '../../core/policy.ts'
import { MIB } from '../../core/units.ts'
import { storedText } from '../stored-text.ts'
import { Timestamp } from '../timestamp.ts'

/** Shapes of the IPFS Pinning Service API 1.0.0. */

export const MAX_NAME_CHARACTERS = 255
const MAX_ORIGINS = 20
const MAX_ORIGIN_CHARACTERS = 1_024
const MAX_META_KEYS = 100
const MAX_META_VALUE_CHARACTERS = 4_096
/** Large enough that what is too long inside can be named, instead of refusing the body as a whole. */
export const MAX_PIN_BODY_BYTES = 2 * MIB

export const PinName = storedText({ max: MAX_NAME_CHARACTERS })

export const PinMeta = z
  .record(storedText({ min: 1, max: MAX_NAME_CHARACTERS }), storedText({ max: MAX_META_VALUE_CHARACTERS }))
  .refine((meta) => Object.keys(meta).length <= MAX_META_KEYS, `it may have at most ${MAX_META_KEYS} keys`)
  .describe('Texts of your own. The keys `policy` (a saved policy) and `expires` (a time) are understood.')

const Origin = storedText({ max: MAX_ORIGIN_CHARACTERS }).refine(
  isMultiaddr,
  'it must be a multiaddr such as /dns4/example.com/tcp/4001/p2p/12D3…',
)

const Pin = z
  .object({
    cid: z.string().min(1).max(MAX_CID_TEXT),
    name: PinName.optional(),
    origins: z.array(Origin).max(MAX_ORIGINS).optional(),
    meta: PinMeta.optional(),
  })
  .meta({ id: 'Pin', description: 'What shall be kept' })

export const PinStatus = z
  .object({
    requestid: z.string(),
    status: z.enum(PIN_STATUSES),
    created: z.string().describe('RFC 3339 with six decimals, unique within an account'),
    pin: Pin,
    delegates: z.array(z.string()).min(1).max(20).describe('Multiaddrs of nodes that want the content'),
    info: z.record(z.string(), z.string()).optional(),
  })
  .meta({ id: 'PinStatus', description: 'A pin and how far it is' })
export type PinStatus = z.infer<typeof PinStatus>

export const PinResults = z
  .object({
    count: z.number().int().nonnegative().describe('Pins that match, on this page and after it'),
    results: z.array(PinStatus).max(1_000),
  })
  .meta({ id: 'PinResults', description: 'A page of pins, the newest first' })

/** What a client asks to keep, read once. */
export interface NewPin {
  cid: CID
  /** The CID as the client wrote it, which is how it is answered. */
  cidText: string
  name: string | undefined
  origins: string[]
  meta: Record<string, string>
  policy: string
  /** RFC 3339, UTC. */
  expiresAt: string | undefined
}

/** A `Pin` of a request's body, read. */
export const NewPin = Pin.transform((pin, context): NewPin => {
  const complain = (path: string[], message: string): typeof z.NEVER => {
    context.addIssue({ code: 'custom', path, message })
    return z.NEVER
  }
  const cid = cidOf(pin.cid)
  if (typeof cid === 'string') return complain(['cid'], cid)
  const { policy = DEFAULT_POLICY_NAME, expires } = pin.meta ?? {}
  const name = PolicyName.safeParse(policy)
  if (!name.success) return complain(['meta', 'policy'], `a policy's name is ${name.error.issues[0]?.message ?? ''}`)
  const expiresAt = Timestamp.optional().safeParse(expires)
  if (!expiresAt.success) return complain(['meta', 'expires'], expiresAt.error.issues[0]?.message ?? '')
  return {
    cid,
    cidText: pin.cid,
    name: pin.name,
    origins: [...new Set(pin.origins)],
    meta: pin.meta ?? {},
    policy: name.data,
    expiresAt: expiresAt.data,
  }
})

/** The CID, or why it is none that can be pinned. */
export function cidOf(text: string): CID | string {
  try {
    return parseCid(text)
  } catch (error) {
    if (error instanceof HoldfastError) return error.message
    throw error
  }
}

function isMultiaddr(text: string): boolean {
  try {
    return multiaddr(text).getComponents().length > 0
  } catch {
    return false
  }
}
