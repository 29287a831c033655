import { HoldfastError } from './errors.ts'
import { parseTokenId } from './token-uri/token-id.ts'

type TokenStandard = 'erc721' | 'erc1155'

/** A collection of tokens, or one token of it, by CAIP-19 of the namespace eip155. */
export interface CollectionId {
  /** As EIP-155 numbers chains. */
  chainId: bigint
  standard: TokenStandard
  /** In lower case. */
  address: `0x${string}`
  /** Undefined: all of them. */
  tokenId: bigint | undefined
}

const CAIP19 = /^eip155:([1-9]\d{0,31})\/(erc721|erc1155):(0x[0-9a-f]{40})(?:\/(\d{1,78}))?$/i

/**
 * Reads `eip155:1/erc721:0x…` with or without `/{token id}`. Checksums in the case of letters are not looked at.
 * https://namespaces.chainagnostic.org/eip155/caip19
 * @throws BAD_REQUEST
 */
export function parseCollectionId(text: string): CollectionId {
  const [, chain, standard, address, token] = CAIP19.exec(text) ?? []
  const tokenId = token === undefined ? undefined : parseTokenId(token)
  if (
    chain === undefined ||
    standard === undefined ||
    address === undefined ||
    (token !== undefined && tokenId === undefined)
  ) {
    throw new HoldfastError('BAD_REQUEST', 'A collection is named by CAIP-19, such as eip155:1/erc721:0x…, or erc1155.')
  }
  return {
    chainId: BigInt(chain),
    standard: standard.toLowerCase() as TokenStandard,
    address: address.toLowerCase() as `0x${string}`,
    tokenId,
  }
}

/** The collection's CAIP-19, without a token. */
export function collectionText({ chainId, standard, address }: Omit<CollectionId, 'tokenId'>): string {
  return `eip155:${chainId}/${standard}:${address}`
}
