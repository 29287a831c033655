import { HoldfastError } from '../core/errors.ts'

export type DagScope = 'block' | 'entity' | 'all'

/** Bytes of a file, inclusive; negative numbers count from its end, `*` is its last byte. */
export interface EntityBytes {
  from: number
  to: number | '*'
}

/**
 * What a CAR shall hold. Blocks come in depth-first order whatever was asked for: `order=unk` allows any.
 * https://specs.ipfs.tech/http-gateways/trustless-gateway/
 */
export interface CarParameters {
  scope: DagScope
  entityBytes: EntityBytes | undefined
  duplicates: boolean
}

/**
 * @param query parameters of the URL, which win
 * @param accepted parameters of the CAR entry of `Accept` (IPIP-412, IPIP-523)
 * @throws BAD_REQUEST for a value that cannot be read; NOT_ACCEPTABLE for a version, order or duplicates that are not offered
 */
export function parseCarParameters(query: URLSearchParams, accepted: ReadonlyMap<string, string>): CarParameters {
  offered('car-version', query.get('car-version') ?? accepted.get('version'), ['1'])
  offered('car-order', query.get('car-order') ?? accepted.get('order'), ['dfs', 'unk'])
  const duplicates = offered('car-dups', query.get('car-dups') ?? accepted.get('dups'), ['n', 'y']) === 'y'
  const bytes = query.get('entity-bytes')
  const scope = parseScope(query.get('dag-scope'), bytes === null ? 'all' : 'entity')
  return { scope, entityBytes: bytes === null ? undefined : parseEntityBytes(bytes), duplicates }
}

function offered(name: string, value: string | undefined, choices: readonly string[]): string | undefined {
  if (value === undefined || choices.includes(value)) return value
  throw new HoldfastError(
    'NOT_ACCEPTABLE',
    `${name} can be ${choices.join(' or ')}, not ${JSON.stringify(value.slice(0, 32))}.`,
  )
}

function parseScope(text: string | null, fallback: DagScope): DagScope {
  if (text === null) return fallback
  if (text === 'block' || text === 'entity' || text === 'all') return text
  throw new HoldfastError('BAD_REQUEST', 'dag-scope is block, entity or all.')
}

function parseEntityBytes(text: string): EntityBytes {
  const match = /^(-?\d{1,15}):(-?\d{1,15}|\*)$/.exec(text)
  if (match === null)
    throw new HoldfastError('BAD_REQUEST', 'entity-bytes is from:to, two byte positions; to can be *.')
  const from = Number(match[1])
  const to = match[2] === '*' ? '*' : Number(match[2])
  if (to !== '*' && from >= 0 === to >= 0 && from > to) {
    throw new HoldfastError('BAD_REQUEST', 'entity-bytes ends before it begins.')
  }
  return { from, to }
}

/** The bytes [start, end) of an entity of that size; undefined when there are none. */
export function rangeOf(bytes: EntityBytes, sizeBytes: number): { start: number; end: number } | undefined {
  const fromEnd = (position: number): number => (position < 0 ? sizeBytes + position : position)
  const start = Math.max(0, fromEnd(bytes.from))
  const end = bytes.to === '*' ? sizeBytes : Math.min(sizeBytes, fromEnd(bytes.to) + 1)
  return start < end ? { start, end } : undefined
}
