import { readChainKey } from './chain/chain-key.ts'
import type { AnchorKind } from './core/proof/proof-file.ts'
import type { Signer } from './core/proof/typed-data.ts'
import type { Anchors } from './prover/perform.ts'
import type { Config } from './runtime/config.ts'

export interface ProofParts {
  signer: Signer
  /** Undefined: no chain is configured. */
  anchors: Anchors | undefined
  /** What proofs can be anchored in. */
  kinds: AnchorKind[]
}

/** What proofs are made with; undefined when the configuration names no key. @throws CONFIG for a text that is no key */
export function proofParts(config: Config): ProofParts | undefined {
  if (config.HOLDFAST_PROOF_KEY === undefined) return undefined
  const key = readChainKey(config.HOLDFAST_PROOF_KEY, 'HOLDFAST_PROOF_KEY')
  const signer = {
    address: config.HOLDFAST_PROOF_SIGNER ?? key.address,
    sign: (digest: Uint8Array) => key.sign(digest),
  }
  if (config.HOLDFAST_CHAIN_RPC.length === 0) return { signer, anchors: undefined, kinds: ['none'] }
  const payer = config.HOLDFAST_ANCHOR_KEY
  const { HOLDFAST_EAS: eas, HOLDFAST_PIN_ANCHOR: pinAnchor } = config
  const contracts = {
    ...(eas !== undefined && { 'eas-timestamp': eas }),
    ...(pinAnchor !== undefined && { 'pin-anchor': pinAnchor, event: pinAnchor }),
  }
  const kinds = ['none', ...Object.keys(contracts)] as AnchorKind[]
  const anchorKey = payer === undefined ? key : readChainKey(payer, 'HOLDFAST_ANCHOR_KEY')
  return { signer, anchors: { key: anchorKey, contracts }, kinds }
}
