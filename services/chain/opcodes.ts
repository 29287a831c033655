const PUSH1 = 0x60
const PUSH4 = 0x63
const PUSH32 = 0x7f
const DELEGATECALL = 0xf4

/** What the code of a contract shows without running it. */
export interface CodeTraits {
  /** Every constant of four bytes, hex without `0x`: the selectors of its functions are among them. */
  words: ReadonlySet<string>
  /** It may run code of another contract on its own state. */
  delegates: boolean
}

/**
 * Reads code instruction by instruction, so that data inside PUSH is not taken for instructions. What the compiler puts
 * behind the code is left out as far as it says its length; other data may show what is not run, never hide what is.
 * https://docs.soliditylang.org/en/latest/metadata.html#encoding-of-the-metadata-hash-in-the-bytecode
 */
export function codeTraits(code: Buffer): CodeTraits {
  const words = new Set<string>()
  let delegates = false
  const end = code.length - metadataLength(code)
  for (let at = 0; at < end; at++) {
    const opcode = code[at] as number
    if (opcode === DELEGATECALL) delegates = true
    if (opcode < PUSH1 || opcode > PUSH32) continue
    if (opcode === PUSH4) words.add(code.toString('hex', at + 1, at + 5))
    at += opcode - PUSH1 + 1
  }
  return { words, delegates }
}

function metadataLength(code: Buffer): number {
  if (code.length < 2) return 0
  const length = code.readUInt16BE(code.length - 2) + 2
  const start = code.length - length
  // A CBOR map of one to four entries.
  return start >= 0 && (code[start] ?? 0) >= 0xa1 && (code[start] ?? 0) <= 0xa4 ? length : 0
}
