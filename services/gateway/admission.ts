import { BlockList, isIP } from 'node:net'
import { asksForCredential, type AccessRule } from '../core/access-rule.ts'
import { cidKey, parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Grantor } from '../core/restricted-roots.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'
import { isBelow, isUrlSignedBy } from '../core/signed-url.ts'
import { SECOND_MS } from '../core/units.ts'
import { withoutPort } from './hosts.ts'
import type { Visitor } from './visitor.ts'

/** A visitor, what is asked for, and the rules by which that is decided. */
export interface Attempt {
  visitor: Visitor
  /**
   * Content paths that a signed URL may name: as asked for, as it was resolved, and the restricted roots that have it.
   * Roots as `cidKey` writes them.
   */
  paths: readonly string[]
  rules: RulesInForce
}

/**
 * Lets a visitor in whom one of the tenants lets in.
 * @returns the tenant
 * @throws UNAUTHORIZED when a token or a signed URL is missing; FORBIDDEN; UNAVAILABLE while the time is not known
 */
export function admit(grantors: readonly Grantor[], attempt: Attempt): number {
  const grantor = grantors.find(({ tenant, rule }) => isMet(rule, tenant, attempt))
  if (grantor !== undefined) return grantor.tenant
  const { tokenHash, urlSignature } = attempt.visitor
  const isMissing = tokenHash === undefined && urlSignature === undefined
  if (isMissing && grantors.some(({ rule }) => asksForCredential(rule))) {
    throw new HoldfastError('UNAUTHORIZED', 'This content is restricted: it takes a token or a signed URL.')
  }
  throw new HoldfastError('FORBIDDEN', 'This content is restricted, and its rules do not let this request in.')
}

function isMet(rule: AccessRule, tenant: number, attempt: Attempt): boolean {
  const { visitor } = attempt
  if ('allOf' in rule) return rule.allOf.every((part) => isMet(part, tenant, attempt))
  if ('anyOf' in rule) return rule.anyOf.some((part) => isMet(part, tenant, attempt))
  if ('token' in rule) return hasToken(tenant, attempt)
  if ('signedUrl' in rule) return hasSignedUrl(tenant, attempt)
  if ('hosts' in rule) return rule.hosts.some((host) => names(host, visitor.host))
  if ('origins' in rule) return rule.origins.some((origin) => isOrigin(origin, visitor.origin))
  return isWithin(rule.addresses, visitor.address)
}

function hasToken(tenant: number, { visitor, rules }: Attempt): boolean {
  const token = visitor.tokenHash === undefined ? undefined : rules.restricted.token(visitor.tokenHash)
  if (token?.tenant !== tenant) return false
  return token.expiresMs === null || token.expiresMs > knownTime(rules)
}

function hasSignedUrl(tenant: number, { visitor, paths, rules }: Attempt): boolean {
  const url = visitor.urlSignature
  if (url === undefined) return false
  const signed = url.prefix === undefined ? paths : [url.prefix]
  const keys = rules.signingKeysOf(tenant)
  const prefix = signed.find((candidate) => isUrlSignedBy(keys, candidate, url))
  if (prefix === undefined) {
    // Keys come with the time, and neither is there before the control plane was heard.
    if (rules.nowMs() === undefined) throw timeUnknown()
    return false
  }
  const normal = normalPath(prefix)
  if (!paths.some((path) => isBelow(path, normal))) return false
  return url.expiresSeconds * SECOND_MS > knownTime(rules)
}

/** A path with its root in the form in which we compare them, without a slash at its end. */
function normalPath(path: string): string {
  const [, root = '', rest = ''] = /^\/ipfs\/([^/]+)(.*?)\/*$/.exec(path) ?? []
  try {
    return `/ipfs/${cidKey(parseCid(root))}${rest}`
  } catch {
    return path.replace(/\/+$/, '')
  }
}

function knownTime(rules: RulesInForce): number {
  const nowMs = rules.nowMs()
  if (nowMs === undefined) throw timeUnknown()
  return nowMs
}

function timeUnknown(): HoldfastError {
  return new HoldfastError(
    'UNAVAILABLE',
    'This gateway has not learned the time yet; what expires cannot be checked.',
    {
      retryAfterSeconds: 5,
    },
  )
}

/** A host without a port stands for every port. */
function names(pattern: string, host: string): boolean {
  const compared = /:\d+$/.test(pattern) ? host : withoutPort(host)
  return pattern.startsWith('*.') ? compared.endsWith(pattern.slice(1)) : compared === pattern
}

function isOrigin(pattern: string, origin: string | undefined): boolean {
  if (origin === undefined) return false
  const [scheme = '', host = ''] = pattern.split('://')
  const { protocol, host: actual } = new URL(origin)
  if (`${scheme}:` !== protocol) return false
  return host.startsWith('*.') ? actual.endsWith(host.slice(1)) : actual === host
}

const networks = new WeakMap<readonly string[], BlockList>()

function isWithin(addresses: readonly string[], address: string | undefined): boolean {
  if (address === undefined) return false
  let list = networks.get(addresses)
  if (list === undefined) {
    list = networkList(addresses)
    networks.set(addresses, list)
  }
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function networkList(addresses: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of addresses) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}
