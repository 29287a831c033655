import { substituteId } from '../token-uri/token-id.ts'
import { error, type BuildProblem } from './problem.ts'

export type TokenStandard = 'erc721' | 'erc1155'

/** Contracts number tokens by 256 bits. */
const MAX_TOKEN_ID = 2n ** 256n - 1n

/**
 * The number of the token that a file of metadata is about: `7` or `7.json`; of ERC-1155 also the 64 digits of hex that
 * take the place of `{id}`.
 * @param file below the folder
 */
export function tokenOfFile(file: string, standard: TokenStandard): { id: bigint } | { problem: BuildProblem } {
  const stem = file.slice(file.lastIndexOf('/') + 1).replace(/\.json$/i, '')
  if (/^[0-9a-f]{64}$/.test(stem)) {
    if (standard === 'erc1155') return { id: BigInt(`0x${stem}`) }
    return { problem: error('HEX_NAME', file, 'Only ERC-1155 numbers tokens by 64 hex digits; say so with --erc1155.') }
  }
  if (/^(?:0|[1-9]\d*)$/.test(stem)) {
    const id = BigInt(stem)
    if (id <= MAX_TOKEN_ID) return { id }
    return { problem: error('NO_TOKEN_NUMBER', file, 'The number has more than 256 bits; no token can have it.') }
  }
  if (/^0\d+$/.test(stem)) {
    const plain = stem.replace(/^0+(?=\d)/, '')
    const message = `No contract asks for a number with zeros before it; call the file ${plain} or ${plain}.json.`
    return { problem: error('LEADING_ZEROS', file, message) }
  }
  if (/^(?:0x)?[0-9a-f]+$/i.test(stem) && standard === 'erc1155') {
    const message =
      'Hex numbers of ERC-1155 have 64 digits, small letters, and no 0x; a decimal number is taken as well.'
    return { problem: error('HEX_NAME', file, message) }
  }
  const message =
    'Metadata is called by the number of its token, such as 7.json; contract.json and collection.json tell of them all.'
  return { problem: error('NO_TOKEN_NUMBER', file, message) }
}

/** What the file is called in the result: ERC-721 asks for the decimal number, ERC-1155 for 64 digits of hex. */
export function nameOfToken(id: bigint, standard: TokenStandard, suffix: string): string {
  return (standard === 'erc1155' ? substituteId('{id}', id) : id.toString()) + suffix
}
