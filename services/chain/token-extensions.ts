import { hash } from 'node:crypto'
import { AbiCoder, keccak256 } from 'ethers'
import { SELECTORS } from '../../contracts-abi/index.ts'
import type { CollectionWanted } from './collection.ts'
import { readBatch } from './read-batches.ts'
import { isUnseen } from './read-tokens.ts'

/** What a contract says of a token beside its URI, by extensions of ERC-721 that it claims to have. */
export interface TokenExtensions {
  /** All URIs of the token, of which `tokenURI` answers one (ERC-7160). */
  uris?: string[]
  /** What the bytes at its URI hash to (ERC-2477). */
  integrity?: Integrity
}

export interface Integrity {
  /** As the contract names it, such as `sha256` or `keccak256`; in lower case. */
  algorithm: string
  /** Hex, without a prefix. */
  digest: string
}

/** URIs of one token; a probe bounds their bytes. */
const MOST_URIS = 256
const MOST_ALGORITHM_LENGTH = 32

/**
 * Reads what the extensions among `standards` say of these tokens, at the collection's block. What does not decode counts as
 * not said; tokens of which something could not be looked at are left out.
 * @throws RpcFailure
 */
export async function readTokenExtensions(
  wanted: CollectionWanted,
  standards: readonly string[],
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, TokenExtensions>> {
  const found = new Map<bigint, TokenExtensions>(ids.map((id) => [id, {}]))
  const read = async (selector: `0x${string}`, note: (into: TokenExtensions, returned: Uint8Array) => void) => {
    for (const { id, outcome, returned } of await readBatch(wanted, { items: ids, selector })) {
      const into = found.get(id)
      if (isUnseen(outcome)) found.delete(id)
      else if (outcome === 'read' && into !== undefined) note(into, returned)
    }
  }
  if (standards.includes('erc7160')) {
    await read(SELECTORS['tokenURIs(uint256)'], (into, returned) => {
      const [, uris] = decoded(['uint256', 'string[]', 'bool'], returned) as [unknown, string[]?]
      if (uris !== undefined) into.uris = uris.slice(0, MOST_URIS)
    })
  }
  if (standards.includes('erc2477')) {
    await read(SELECTORS['tokenURIIntegrity(uint256)'], (into, returned) => {
      const [digest, algorithm] = decoded(['bytes', 'string'], returned) as [string?, string?]
      if (digest === undefined || algorithm === undefined || digest === '0x') return
      into.integrity = {
        algorithm: algorithm.toLowerCase().slice(0, MOST_ALGORITHM_LENGTH).toWellFormed(),
        digest: digest.slice(2),
      }
    })
  }
  return found
}

/** URIs of a token beside that which `tokenURI` answers. */
export function furtherUris({ uris = [] }: TokenExtensions, uri: string | undefined): string[] {
  return [...new Set(uris)].filter((other) => other !== uri)
}

/** Whether a file is another than the contract says; of algorithms that nobody here knows nothing can be said. */
export function hasOtherDigest(file: Uint8Array, { algorithm, digest }: Integrity): boolean {
  if (algorithm === 'sha256' || algorithm === 'sha-256') return hash('sha256', file) !== digest
  return algorithm === 'keccak256' && keccak256(file) !== `0x${digest}`
}

/** The values; none when the bytes are something else. */
function decoded(types: readonly string[], returned: Uint8Array): unknown[] {
  try {
    // Deep, so that a text that is no UTF-8 is found here.
    return AbiCoder.defaultAbiCoder().decode(types, returned).toArray(true)
  } catch {
    return []
  }
}
