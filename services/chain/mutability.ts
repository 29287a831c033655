import { id } from 'ethers'
import type { Hex } from './hex.ts'
import { codeTraits } from './opcodes.ts'

/**
 * Who can change what tokens point to, as far as code shows it:
 * - `PROXY`: the code itself can be replaced
 * - `OWNER_CAN_CHANGE`: it has a function by whose name URIs are set
 * - `UNKNOWN`: it runs code of others on its own state, so its own says little
 * - `FROZEN`: none of these. A function of an uncommon name may still change URIs; what was read stays true for its block.
 */
type MutabilityGrade = 'FROZEN' | 'OWNER_CAN_CHANGE' | 'PROXY' | 'UNKNOWN'

export interface Mutability {
  grade: MutabilityGrade
  /** Signatures of functions that set URIs. */
  setters: string[]
  /** Where calls go (ERC-1967, or a minimal proxy of ERC-1167). */
  implementation: Hex | null
  beacon: Hex | null
  admin: Hex | null
}

/** Slots of ERC-1967, in the order of {@link ProxySlots}. */
export const PROXY_SLOTS = [
  '0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc',
  '0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50',
  '0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103',
] as const

/** Addresses in the slots of ERC-1967; null where there is none. */
export interface ProxySlots {
  implementation: Hex | null
  beacon: Hex | null
  admin: Hex | null
}

const SETTERS = new Map(
  [
    'setBaseURI(string)',
    'setBaseTokenURI(string)',
    'setBaseUri(string)',
    'setTokenURI(uint256,string)',
    'setTokenUri(uint256,string)',
    'setURI(string)',
    'setURI(uint256,string)',
    'setUri(string)',
    'setUriPrefix(string)',
    'setUriSuffix(string)',
    'setBaseExtension(string)',
    'setHiddenMetadataUri(string)',
    'setNotRevealedURI(string)',
    'setUnrevealedURI(string)',
    'setRevealed(bool)',
    'reveal()',
    'reveal(string)',
    'setProvenanceHash(string)',
    'setMetadata(address)',
    'setRenderer(address)',
    'setDescriptor(address)',
    'updateTokenURI(uint256,string)',
    'updateBaseURI(string)',
    'pinTokenURI(uint256,uint256)',
  ].map((signature) => [id(signature).slice(2, 10), signature]),
)

/** Code of a proxy that always goes to one address (https://eips.ethereum.org/EIPS/eip-1167). */
const MINIMAL_PROXY = /^363d3d373d3d3d363d73([0-9a-f]{40})5af43d82803e903d91602b57fd5bf3/

/** Where a minimal proxy goes to; undefined when the code is none. */
export function minimalProxyTarget(code: Buffer): Hex | undefined {
  const target = MINIMAL_PROXY.exec(code.toString('hex', 0, 45))?.[1]
  return target === undefined ? undefined : `0x${target}`
}

/** @param code of the contract, or what a minimal proxy goes to */
export function mutabilityOf(code: Buffer, slots: ProxySlots, cloneOf: Hex | undefined): Mutability {
  const { words, delegates } = codeTraits(code)
  const setters = [...SETTERS].flatMap(([selector, signature]) => (words.has(selector) ? [signature] : []))
  const { implementation, beacon, admin } = slots
  const grade: MutabilityGrade =
    implementation !== null || beacon !== null
      ? 'PROXY'
      : setters.length > 0
        ? 'OWNER_CAN_CHANGE'
        : delegates
          ? 'UNKNOWN'
          : 'FROZEN'
  return { grade, setters, implementation: implementation ?? cloneOf ?? null, beacon, admin }
}
