import { SELECTORS, TOKEN_PROBE, TOKEN_PROBE_ONCE } from '../../contracts-abi/index.ts'
import { bytesOfHex, quantityOf, wordOf, type Hex } from './hex.ts'
import type { RpcCall } from './json-rpc.ts'
import { RpcFailure } from './rpc-failure.ts'

/** What is read of a contract's tokens in one call (contracts-abi/src/TokenProbe.sol). */
export interface Probe {
  /** The contract. */
  address: Hex
  /** Selector of a function of one `uint256`: `tokenURI`, `uri`. */
  selector: Hex
  /** Token ids, or indexes for `tokenByIndex`. */
  items: readonly bigint[]
  byIndex: boolean
  gasEach: number
  bytesEach: number
  /** The block's hash. */
  blockHash: Hex
  /** Of the whole call. */
  gas: number
}

export type ProbeOutcome = 'read' | 'reverted' | 'too-long' | 'no-such-index' | 'not-run'

export interface ProbeEntry {
  /** The token's id; of a token that was not found by its index, the index. */
  id: bigint
  outcome: ProbeOutcome
  /** What the contract returned, or the reason that it gave; empty when it was too long. */
  returned: Uint8Array
}

/** Where the probe is put: nobody has the key, and nothing is there on any chain. */
const PROBE_ADDRESS = '0x00000000000000000000000000000000484f4c44'

/** The call by state override: the probe's code stands at an address for as long as the call lasts. */
export function overrideCall(probe: Probe): RpcCall {
  const data = SELECTORS['read(address,bytes4,bool,uint256,uint256,uint256[])'] + argumentsOf(probe)
  const call = { to: PROBE_ADDRESS, data, gas: quantityOf(probe.gas) }
  return { method: 'eth_call', params: [call, at(probe), { [PROBE_ADDRESS]: { code: TOKEN_PROBE } }] }
}

/** The call as init code, for servers without state override; it always reverts, with the answer as its data. */
export function initCodeCall(probe: Probe): RpcCall {
  const call = { data: TOKEN_PROBE_ONCE + argumentsOf(probe), gas: quantityOf(probe.gas) }
  return { method: 'eth_call', params: [call, at(probe)] }
}

/** The call of the contract itself for one token. */
export function plainCall(probe: Omit<Probe, 'items'>, id: bigint): RpcCall {
  const call = { to: probe.address, data: probe.selector + wordOf(id), gas: quantityOf(probe.gas) }
  return { method: 'eth_call', params: [call, at(probe)] }
}

/** EIP-1898: the same state at every provider, or a failure. */
function at({ blockHash }: { blockHash: Hex }): { blockHash: Hex } {
  return { blockHash }
}

function argumentsOf({ address, selector, byIndex, gasEach, bytesEach, items }: Probe): string {
  return [
    address.slice(2).toLowerCase().padStart(64, '0'),
    selector.slice(2).padEnd(64, '0'),
    wordOf(byIndex ? 1 : 0),
    wordOf(gasEach),
    wordOf(bytesEach),
    wordOf(6 * 32),
    wordOf(items.length),
    ...items.map(wordOf),
  ].join('')
}

const OUTCOMES = new Map<number | undefined, ProbeOutcome>([
  [0, 'read'],
  [1, 'reverted'],
  [2, 'too-long'],
  [8, 'no-such-index'],
  [9, 'not-run'],
])
const HEAD_BYTES = 37

/**
 * The entries of an answer, one for each item in their order; what they hold are views of it.
 * @throws RpcFailure `unsupported` when it is not the probe's answer: a server that ignores overrides answers nothing
 */
export function decodeProbe(answer: unknown, items: readonly bigint[]): ProbeEntry[] {
  const bytes = bytesOfHex(answer) ?? Buffer.alloc(0)
  const entries: ProbeEntry[] = []
  let offset = 0
  while (entries.length < items.length && offset + HEAD_BYTES <= bytes.length) {
    const outcome = OUTCOMES.get(bytes[offset])
    const id = BigInt(`0x${bytes.toString('hex', offset + 1, offset + 33)}`)
    const end = offset + HEAD_BYTES + bytes.readUInt32BE(offset + 33)
    if (outcome === undefined || end > bytes.length) break
    entries.push({ id, outcome, returned: bytes.subarray(offset + HEAD_BYTES, end) })
    offset = end
  }
  if (entries.length === items.length && offset === bytes.length) return entries
  throw new RpcFailure('unsupported', 'The provider did not run the code that reads tokens.')
}
