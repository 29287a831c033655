import { z } from 'zod'

/** Rules within rules, and all of them together: what one request costs at most. */
const MAX_DEPTH = 4
const MAX_RULES = 64
const MAX_NAMES = 100

const Network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])
/** A host, or with `*.` all hosts below one. */
const Host = z
  .string()
  .max(253)
  .regex(/^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/, 'must be a host in lower case, or *. and a host')
/** Scheme, host and port, as browsers send it. */
const Origin = z
  .string()
  .max(300)
  .regex(
    /^https?:\/\/(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/,
    'must be an origin such as https://app.example',
  )

/** Who may read. Each rule has one field. */
export type AccessRule =
  | { allOf: AccessRule[] }
  | { anyOf: AccessRule[] }
  /** A bearer token of the tenant with the scope `gateway:read`. */
  | { token: true }
  /** A URL that was signed with a key of the tenant. */
  | { signedUrl: true }
  /** The request is for one of these hosts. */
  | { hosts: string[] }
  /** The client has one of these addresses. */
  | { addresses: string[] }
  /** The request comes from a page of one of these origins, by `Origin` or else by `Referer`. */
  | { origins: string[] }

const Tree: z.ZodType<AccessRule> = z
  .lazy(() =>
    z.union([
      z.strictObject({ allOf: z.array(Tree).min(1).max(MAX_RULES) }),
      z.strictObject({ anyOf: z.array(Tree).min(1).max(MAX_RULES) }),
      z.strictObject({ token: z.literal(true) }),
      z.strictObject({ signedUrl: z.literal(true) }),
      z.strictObject({ hosts: z.array(Host).min(1).max(MAX_NAMES) }),
      z.strictObject({ addresses: z.array(Network).min(1).max(MAX_NAMES) }),
      z.strictObject({ origins: z.array(Origin).min(1).max(MAX_NAMES) }),
    ]),
  )
  .meta({ id: 'AccessRulePart', description: 'A rule, or several of which all or any must hold' })

export const AccessRule = Tree.refine((rule) => sizeOf(rule, 0) <= MAX_RULES, {
  message: `A rule may have ${MAX_DEPTH} levels and ${MAX_RULES} parts.`,
}).meta({ id: 'AccessRule', description: 'Who may read restricted content' })

function sizeOf(rule: AccessRule, depth: number): number {
  if (depth > MAX_DEPTH) return Number.POSITIVE_INFINITY
  const parts = 'allOf' in rule ? rule.allOf : 'anyOf' in rule ? rule.anyOf : []
  return parts.reduce((sum, part) => sum + sizeOf(part, depth + 1), 1)
}

/** Whether a rule can be met by something the client shows: then a refusal asks for it. */
export function asksForCredential(rule: AccessRule): boolean {
  if ('token' in rule || 'signedUrl' in rule) return true
  const parts = 'allOf' in rule ? rule.allOf : 'anyOf' in rule ? rule.anyOf : []
  return parts.some(asksForCredential)
}
