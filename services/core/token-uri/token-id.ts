/** Ids are uint256. */
const LARGEST = 2n ** 256n - 1n
const PLACEHOLDER = /\{id\}|%7bid%7d/gi

/**
 * Puts a token's id where ERC-1155 says: `{id}` becomes 64 digits of hex in lower case, without `0x`.
 * https://eips.ethereum.org/EIPS/eip-1155#metadata
 */
export function substituteId(text: string, tokenId: bigint): string {
  return text.replaceAll(PLACEHOLDER, tokenId.toString(16).padStart(64, '0'))
}

/** A token's id, decimal or as `0x…`; undefined when the text is none, or more than 256 bits. */
export function parseTokenId(text: string): bigint | undefined {
  if (!/^(?:\d{1,78}|0x[0-9a-f]{1,64})$/i.test(text)) return undefined
  const id = BigInt(text)
  return id <= LARGEST ? id : undefined
}
