const WORD = 32
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * The content of what a function that returns one `string` or `bytes` has returned: a view. Undefined when that is not what
 * it is: an offset or a length beyond the end. Missing padding is let pass, because many contracts leave it out.
 * https://docs.soliditylang.org/en/latest/abi-spec.html
 */
export function decodeBytes(returned: Uint8Array): Uint8Array | undefined {
  const offset = lengthAt(returned, 0)
  if (offset === undefined || offset < WORD) return undefined
  const length = lengthAt(returned, offset)
  if (length === undefined) return undefined
  const start = offset + WORD
  return start + length > returned.length ? undefined : returned.subarray(start, start + length)
}

/** {@link decodeBytes} as text; undefined also when it is no UTF-8. */
export function decodeString(returned: Uint8Array): string | undefined {
  const bytes = decodeBytes(returned)
  if (bytes === undefined) return undefined
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** The word at `at` as a number; undefined beyond the end, or when it is larger than what there is. */
function lengthAt(bytes: Uint8Array, at: number): number | undefined {
  if (at + WORD > bytes.length) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + at, WORD)
  for (let index = 0; index < WORD - 6; index++) if (view[index] !== 0) return undefined
  const value = view.readUIntBE(WORD - 6, 6)
  return value > bytes.length ? undefined : value
}
