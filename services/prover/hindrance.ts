import { MOST_SHOWN, withoutSecrets } from '../core/collection-report/shown-uri.ts'
import { HoldfastError, type ErrorCode } from '../core/errors.ts'
import { RpcFailure } from '../chain/rpc-failure.ts'

/** Why an anchor comes no further, in words for whom it belongs to. */
export class AnchorHindrance extends HoldfastError {
  /** When it is tried again; undefined: later and later. */
  readonly retryMs: number | undefined
  /** Whether it is of no use to try again. */
  readonly isLasting: boolean

  constructor(
    code: ErrorCode,
    message: string,
    { retryMs, isLasting = false, cause }: { retryMs?: number; isLasting?: boolean; cause?: unknown } = {},
  ) {
    super(code, message, { cause })
    this.retryMs = retryMs
    this.isLasting = isLasting
  }
}

/** An account that pays on a chain. */
export interface PayingAccount {
  address: string
  chainId: number
}

/** What an account lacks, in wei. */
export function poverty(
  { address, chainId }: PayingAccount,
  { balance, cost }: { balance: bigint; cost?: bigint | undefined },
): AnchorHindrance {
  const need = cost === undefined ? 'nothing' : `${coins(balance)}, and the next transaction may cost ${coins(cost)}`
  const sentence = `The account that pays for anchors has ${need}: send gas money to ${address} on chain ${chainId}.`
  return new AnchorHindrance('INSUFFICIENT_FUNDS', sentence)
}

/** Of the 18 digits of a chain's coin those that matter. */
function coins(wei: bigint): string {
  const whole = wei / 10n ** 18n
  const digits = (wei % 10n ** 18n).toString().padStart(18, '0').replace(/0+$/, '')
  const shown = whole === 0n ? (/^0*\d{1,3}/.exec(digits)?.[0] ?? '') : digits.slice(0, 3)
  return shown === '' ? String(whole) : `${whole}.${shown}`
}

const LACKS_FUNDS = /insufficient (funds|balance)|overdraft|not enough (funds|balance)/i

/** A failure on the way of an anchor, with what can be done about it. */
export function hindranceOf(error: unknown, { address, chainId }: PayingAccount): HoldfastError {
  if (!(error instanceof RpcFailure)) return error instanceof HoldfastError ? error : defect(error)
  const said = shownWords(error.message)
  const advice = LACKS_FUNDS.test(said)
    ? `Send gas money to ${address} on chain ${chainId}.`
    : (ADVICE[error.kind] ?? 'It is tried again by itself.')
  const code = LACKS_FUNDS.test(said) ? 'INSUFFICIENT_FUNDS' : error.code
  return new AnchorHindrance(code, `${said} ${advice}`, { cause: error })
}

const OTHER_PROVIDER = 'If that lasts, the operator needs another provider in HOLDFAST_CHAIN_RPC.'

const ADVICE: Partial<Record<RpcFailure['kind'], string>> = {
  unreachable: OTHER_PROVIDER,
  busy: OTHER_PROVIDER,
  unsupported: OTHER_PROVIDER,
  refused: OTHER_PROVIDER,
}

function defect(cause: unknown): HoldfastError {
  return new HoldfastError('INTERNAL_ERROR', 'The anchor met a defect of the service.', { cause })
}

/** Characters of a provider's sentence that are shown. */
const MOST_WORDS = 200
/** Providers repeat the URL that they were asked by, and keys stand in its path as well as in its query. */
const URLS = /\b[a-z][a-z0-9+.-]*:\/\/\S+/gi
/** What looks like a key, and is no hash or address. */
const KEYS = /(?<![0-9a-z])(?!0x[0-9a-f]+(?![0-9a-z_-]))(?=[a-z_-]*\d)[a-z0-9_-]{20,}/gi
const BEARER = /\b(bearer|basic)\s+\S+/gi

/** What a provider says, as it may be shown to others: without URLs and keys, in one line, and not too long. */
export function shownWords(message: string): string {
  const plain = message
    .slice(0, MOST_SHOWN)
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
  const clean = withoutSecrets(plain.replaceAll(URLS, '[url]').replaceAll(BEARER, '$1 ***')).replaceAll(KEYS, '***')
  const cut = clean.length > MOST_WORDS ? `${clean.slice(0, MOST_WORDS)}…` : clean
  return /[.!?…]$/.test(cut) ? cut : `${cut}.`
}
