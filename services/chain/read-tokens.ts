import { KIB, MIB } from '../core/units.ts'
import { bytesOfHex, type Hex } from './hex.ts'
import type { Provider } from './provider.ts'
import { hasKind, RpcFailure } from './rpc-failure.ts'
import {
  decodeProbe,
  initCodeCall,
  overrideCall,
  plainCall,
  type Probe,
  type ProbeEntry,
  type ProbeOutcome,
} from './token-probe.ts'
import { SELECTORS } from '../../contracts-abi/index.ts'

export interface TokensWanted {
  address: Hex
  /** A function of one `uint256` that returns a string or bytes. @default tokenURI */
  selector?: Hex
  /** Token ids, or indexes for `tokenByIndex`. */
  items: readonly bigint[]
  /** @default false */
  byIndex?: boolean
  blockHash: Hex
}

export interface TokenRead {
  /** The token's id; the index when there is none at it. */
  id: bigint
  /** `not-run`: not to be had with all the gas that the provider grants. */
  outcome: ProbeOutcome
  returned: Uint8Array
}

/** Of one token among many, so that one that burns gas or returns a megabyte costs the others nothing. */
const FIRST = { gasEach: 300_000, bytesEach: 16 * KIB }
/**
 * Of one token among those that need more: contracts that look back for an owner read thousands of slots, most of which are
 * cheap for the tokens that follow in the same call. Servers that grant less gas than is asked for run fewer tokens.
 */
const DEEP = { gasEach: 12_000_000, gas: 400_000_000 }
/** Calls for them, as long as each reads a token that could not be read before. */
const MOST_DEEP_CALLS = 256
/** Of one token alone: art that lies on the chain. */
const ALONE_BYTES = MIB
/** Tokens that are read again alone, at most; a contract whose tokens all fail is not asked for each. */
const MOST_ALONE = 64

/**
 * Reads tokens at one block by one provider, in their order, in as few calls as its limits allow, which are learned on the
 * way. What fails with the limits of one among many is read again alone.
 * @throws RpcFailure when the provider cannot answer
 */
export async function readTokens(provider: Provider, wanted: TokensWanted, signal?: AbortSignal): Promise<TokenRead[]> {
  const { selector = SELECTORS['tokenURI(uint256)'], byIndex = false, items, ...where } = wanted
  const base = { ...where, selector, byIndex, ...FIRST }
  const reads: TokenRead[] = []
  while (reads.length < items.length) reads.push(...(await readSome(provider, base, items.slice(reads.length), signal)))
  await readDeep(provider, base, reads, signal)
  await readAlone(provider, base, reads, signal)
  return reads
}

type Base = Omit<Probe, 'items' | 'gas'>

/** Some of the first items: as many as the provider can take now, at least one. */
async function readSome(
  provider: Provider,
  base: Base,
  items: readonly bigint[],
  signal: AbortSignal | undefined,
): Promise<ProbeEntry[]> {
  const { limits } = provider
  const some = items.slice(0, limits.probeItems)
  const probe = { ...base, items: some, gas: limits.callGas }
  try {
    return untilNotRun(await probeBy(provider, probe, signal))
  } catch (error) {
    if (hasKind(error, 'unsupported') && limits.way !== 'plain') {
      limits.way = limits.way === 'override' ? 'init-code' : 'plain'
      return []
    }
    if (hasKind(error, 'too-much', 'reverted') && some.length > 1) {
      limits.probeItems = Math.ceil(some.length / 2)
      return []
    }
    throw error
  }
}

/** The entries before the first that was not run; that one too when nothing was, so that there is an end. */
function untilNotRun(entries: ProbeEntry[]): ProbeEntry[] {
  const firstNotRun = entries.findIndex(({ outcome }) => outcome === 'not-run')
  return firstNotRun === -1 ? entries : entries.slice(0, Math.max(1, firstNotRun))
}

async function probeBy(provider: Provider, probe: Probe, signal: AbortSignal | undefined): Promise<ProbeEntry[]> {
  if (provider.limits.way === 'override') {
    return decodeProbe(await provider.call(overrideCall(probe), signal), probe.items)
  }
  if (provider.limits.way === 'init-code') return decodeProbe(await revertOf(provider, probe, signal), probe.items)
  return await readPlainly(provider, probe, signal)
}

/** @throws RpcFailure `unsupported` when the call did not revert */
async function revertOf(provider: Provider, probe: Probe, signal: AbortSignal | undefined): Promise<string> {
  try {
    await provider.call(initCodeCall(probe), signal)
  } catch (error) {
    if (hasKind(error, 'reverted') && error.data !== undefined) return error.data
    throw error
  }
  throw new RpcFailure('unsupported', 'The provider does not run init code in a call.')
}

/** A call for each token, in batches. Ids of indexes are looked up first. */
async function readPlainly(provider: Provider, probe: Probe, signal: AbortSignal | undefined): Promise<ProbeEntry[]> {
  const found = probe.byIndex ? await idsAt(provider, probe, signal) : probe.items
  const results = await provider.batch(
    found.map((id, index) => plainCall(probe, id ?? (probe.items[index] as bigint))),
    signal,
  )
  return results.map((result, index): ProbeEntry => {
    const id = found[index]
    const item = probe.items[index] as bigint
    if (id === undefined) return { id: item, outcome: 'no-such-index', returned: NOTHING }
    if ('failure' in result) return { id, ...outcomeOf(result.failure) }
    const returned = bytesOfHex(result.result)
    if (returned === undefined) throw new RpcFailure('unreachable', 'A provider of the chain answered no bytes.')
    return { id, outcome: 'read', returned }
  })
}

const NOTHING = new Uint8Array(0)

/** @throws a failure that says nothing of the token */
/** The token could not be looked at, so that nothing is known of it. */
export function isUnseen(outcome: ProbeOutcome): boolean {
  return outcome === 'too-long' || outcome === 'not-run' || outcome === 'no-such-index'
}

function outcomeOf(failure: RpcFailure): Pick<ProbeEntry, 'outcome' | 'returned'> {
  if (failure.kind === 'reverted') return { outcome: 'reverted', returned: bytesOfHex(failure.data) ?? NOTHING }
  if (failure.kind === 'too-much') return { outcome: 'not-run', returned: NOTHING }
  throw failure
}

async function idsAt(
  provider: Provider,
  probe: Probe,
  signal: AbortSignal | undefined,
): Promise<(bigint | undefined)[]> {
  const byIndex = { ...probe, selector: SELECTORS['tokenByIndex(uint256)'] }
  const results = await provider.batch(
    probe.items.map((index) => plainCall(byIndex, index)),
    signal,
  )
  return results.map((result) => {
    if ('failure' in result) return outcomeOf(result.failure) && undefined
    const word = bytesOfHex(result.result)
    return word?.length === 32 ? BigInt(`0x${word.toString('hex')}`) : undefined
  })
}

/** Reads those again that may have failed for want of gas, with more of it, when they are many. */
async function readDeep(
  provider: Provider,
  base: Base,
  reads: TokenRead[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (provider.limits.way === 'plain') return
  const failed = indexesOf(reads, ({ outcome, returned }) => isOutOfGas(outcome, returned))
  for (let calls = 0; failed.length > MOST_ALONE / 8 && calls < MOST_DEEP_CALLS; calls++) {
    const some = failed.slice(0, provider.limits.probeItems)
    const items = some.map((index) => (reads[index] as TokenRead).id)
    const probe = { ...base, ...DEEP, byIndex: false, items }
    const entries = untilNotRun(await probeBy(provider, probe, signal).catch(lost))
    if (!entries.some(({ outcome }) => outcome === 'read')) return
    for (const [place, entry] of entries.entries()) reads[some[place] as number] = entry
    failed.splice(0, entries.length)
  }
}

function indexesOf(reads: readonly TokenRead[], wanted: (read: TokenRead) => boolean): number[] {
  return reads.flatMap((read, index) => (wanted(read) ? [index] : []))
}

/** A call that ran out of gas returns nothing, like one that reverts without a reason. */
function isOutOfGas(outcome: ProbeOutcome, returned: Uint8Array): boolean {
  return outcome === 'not-run' || (outcome === 'reverted' && returned.length === 0)
}

/** Reads those again that failed by a limit, each with all the gas of a call. */
async function readAlone(
  provider: Provider,
  base: Base,
  reads: TokenRead[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const gas = provider.limits.callGas
  const limits = { gasEach: Math.floor(gas * 0.9), bytesEach: ALONE_BYTES, gas, byIndex: false }
  const failed = indexesOf(reads, ({ outcome, returned }) => outcome === 'too-long' || isOutOfGas(outcome, returned))
  for (const index of failed.slice(0, MOST_ALONE)) {
    const { id } = reads[index] as TokenRead
    const [again] = await probeBy(provider, { ...base, ...limits, items: [id] }, signal).catch(lost)
    if (again !== undefined) reads[index] = again
  }
}

/** A token that takes down even its own call stays as it was. */
function lost(error: unknown): ProbeEntry[] {
  if (hasKind(error, 'too-much', 'reverted', 'refused')) return []
  throw error
}
