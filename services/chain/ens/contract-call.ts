import { AbiCoder } from 'ethers'
import { ERRORS } from '../../../contracts-abi/index.ts'
import { HoldfastError } from '../../core/errors.ts'
import { callAt } from '../call-at.ts'
import { bytesOfHex, type Hex } from '../hex.ts'
import type { ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { askOffchainOrBatch } from './offchain-batch.ts'
import type { OffchainOptions } from './offchain-gateway.ts'

export interface CallOptions {
  pool: ProviderPool
  block: ChainBlock
  offchain: OffchainOptions
  /** Told when something was asked outside of the chain, which no block says. */
  onOffchain?: () => void
  signal?: AbortSignal
}

/** "Clients SHOULD support at least 4 recursive calls" (ERC-3668). */
const MAX_HOPS = 4
const OFFCHAIN_LOOKUP = ERRORS['OffchainLookup(address,string[],bytes,bytes4,bytes)']
/** How the Universal Resolver says that a server outside of the chain did not answer (ENSIP-23). */
const HTTP_ERROR = ERRORS['HttpError(uint16,string)']
/** Beyond it nothing is decoded: offsets of the ABI let a short text stand for a long one. */
const MAX_LOOKUP_CHARACTERS = 128 * 1024

const coder = AbiCoder.defaultAbiCoder()

/**
 * What a contract returns, with what it wants asked outside of the chain (ERC-3668); undefined when it refuses.
 * @throws NAME_LOOP when it asks more than four times; UPSTREAM_FAILED when nobody outside answers, RpcFailure when no
 *   provider does or too few agree
 */
export async function callContract(to: Hex, data: Hex, options: CallOptions): Promise<Uint8Array | undefined> {
  let asked = data
  for (let hops = 0; ; hops++) {
    const answer = await callAt(to, asked, options)
    if (answer.returned !== undefined) return bytesOfHex(answer.returned)
    if (answer.reason.startsWith(HTTP_ERROR)) {
      throw new HoldfastError('UPSTREAM_FAILED', 'A server that the contract depends on did not answer.')
    }
    if (!answer.reason.startsWith(OFFCHAIN_LOOKUP)) return undefined
    if (hops === MAX_HOPS) throw new HoldfastError('NAME_LOOP', 'The contract asks for more and more outside answers.')
    const lookup = decodeLookup(answer.reason)
    // "If the sender field does not match the address of the contract that was called, return an error."
    if (lookup === undefined || lookup.sender !== to.toLowerCase()) return undefined
    options.onOffchain?.()
    const response = await askOffchainOrBatch({ ...lookup, sender: to }, options.offchain, options.signal)
    const words = coder.encode(['bytes', 'bytes'], [response, lookup.extraData])
    asked = `${lookup.callback}${words.slice(2)}` as Hex
  }
}

interface Lookup {
  sender: string
  urls: string[]
  data: Hex
  callback: Hex
  extraData: string
}

function decodeLookup(reason: string): Lookup | undefined {
  if (reason.length > MAX_LOOKUP_CHARACTERS) return undefined
  try {
    const types = ['address', 'string[]', 'bytes', 'bytes4', 'bytes']
    const words = `0x${reason.slice(OFFCHAIN_LOOKUP.length)}`
    const [sender, urls, data, callback, extraData] = coder.decode(types, words).toArray(true) as [
      string,
      string[],
      Hex,
      Hex,
      string,
    ]
    return { sender: sender.toLowerCase(), urls: [...urls], data, callback, extraData }
  } catch {
    return undefined
  }
}
