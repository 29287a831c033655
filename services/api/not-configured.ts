import { HoldfastError } from '../core/errors.ts'
import type { Signer } from '../core/proof/typed-data.ts'

/** What can be asked for only where the operator has set it up. */

/**
 * @param what as in `Collections cannot be verified`
 * @throws NOT_IMPLEMENTED where no chain is read
 */
export function refuseWithoutChain(readsChain: boolean, what: string): void {
  if (readsChain) return
  throw new HoldfastError(
    'NOT_IMPLEMENTED',
    `${what}: this service reads no chain; its operator can set HOLDFAST_CHAIN_RPC.`,
  )
}

/** @throws NOT_IMPLEMENTED where nothing is signed */
export function refuseWithoutKey(signer: Signer | undefined): asserts signer is Signer {
  if (signer !== undefined) return
  throw new HoldfastError(
    'NOT_IMPLEMENTED',
    'This service signs nothing: it has no key; its operator can set HOLDFAST_PROOF_KEY.',
  )
}
