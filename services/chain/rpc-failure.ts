import { HoldfastError } from '../core/errors.ts'

/**
 * Why a call of JSON-RPC failed, as far as it decides what is done next:
 * - `unreachable`: no whole answer came; another provider may be asked
 * - `busy`: too many calls; the same one succeeds later
 * - `too-much`: a range, a batch, an answer or gas beyond the provider's limits; smaller calls may succeed
 * - `behind`: the provider does not have this block (yet)
 * - `unsupported`: the provider does not know the method or a parameter of it
 * - `reverted`: the contract refused; `data` is what it gave as its reason
 * - `refused`: anything else that a provider says
 */
export type RpcFailureKind = 'unreachable' | 'busy' | 'too-much' | 'behind' | 'unsupported' | 'reverted' | 'refused'

/** Its code is UPSTREAM_FAILED. */
export class RpcFailure extends HoldfastError {
  readonly kind: RpcFailureKind
  /** Of a call that was reverted: hex. */
  readonly data: string | undefined
  /** Of a provider that is busy: when to come again. */
  readonly retryAfterMs: number | undefined

  constructor(
    kind: RpcFailureKind,
    message: string,
    {
      data,
      retryAfterMs,
      cause,
    }: { data?: string | undefined; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super('UPSTREAM_FAILED', message, { cause })
    this.kind = kind
    this.data = data
    this.retryAfterMs = retryAfterMs
  }
}

/** Whether `error` is a failure of one of the kinds. */
export function hasKind(error: unknown, ...kinds: RpcFailureKind[]): error is RpcFailure {
  return error instanceof RpcFailure && kinds.includes(error.kind)
}

/** The `error` of an answer (https://www.jsonrpc.org/specification#error_object); what providers put there is not to be relied on. */
export interface RpcErrorObject {
  code?: unknown
  message?: unknown
  data?: unknown
}

/**
 * What providers and clients say, by kind, in the order in which it is looked for. They agree on no codes: -32005 is a
 * limit of rate at one and of results at the next, -32000 is everything.
 */
const SAID: readonly [RpcFailureKind, RegExp][] = [
  [
    'reverted',
    /execution reverted|^reverted|vm execution error|evm error|invalid opcode|revert(ed)? with|custom error/i,
  ],
  [
    'too-much',
    /more than \d+ results|block range|range (is )?too (large|wide)|limited to (a )?\d+|query (returned|timeout)|response size|return data|size (is )?(exceeded|too large)|too large|batch|out of gas|outofgas|gas (required|limit)|exceeds (the )?(max|limit|allowance)|max results|too many (logs|results|parameters)/i,
  ],
  [
    'busy',
    /rate.?limit|too many requests|request limit|capacity|throttl|credits|quota|try again|exceeded.*(per second|second)/i,
  ],
  [
    'behind',
    /header not found|unknown block|block not found|missing trie node|not available|cannot find block|could not find block|resource not found|after last accepted/i,
  ],
  [
    'unsupported',
    /method not (found|supported|allowed|available)|does not exist|unsupported|too many arguments|invalid (argument|params)|unknown field|expected (at most|\d+)/i,
  ],
]

const METHOD_NOT_FOUND = -32_601

const BY_CODE = new Map<unknown, RpcFailureKind>([
  [3, 'reverted'],
  [429, 'busy'],
  [-32_602, 'unsupported'],
  [-32_005, 'busy'],
  [-32_001, 'behind'],
  [-39_001, 'behind'],
])

/** The failure that an answer's error object tells. */
export function failureOfAnswer(error: RpcErrorObject): RpcFailure {
  const message = typeof error.message === 'string' ? error.message.slice(0, 500) : ''
  const data = revertData(error)
  const kind =
    (error.code === METHOD_NOT_FOUND ? 'unsupported' : undefined) ??
    (data !== undefined && error.code !== -32_602 ? 'reverted' : undefined) ??
    SAID.find(([, words]) => words.test(message))?.[0] ??
    BY_CODE.get(error.code) ??
    'refused'
  return new RpcFailure(kind, message === '' ? 'The provider refused the call.' : `The provider said: ${message}`, {
    data,
  })
}

/** Clients put the data of a revert in `data`, in an object there, or behind words. */
function revertData({ data }: RpcErrorObject): string | undefined {
  const text = typeof data === 'object' && data !== null && 'data' in data ? data.data : data
  if (typeof text !== 'string') return undefined
  return /(?:^|\s)(0x(?:[0-9a-f]{2})*)$/i.exec(text)?.[1]
}
