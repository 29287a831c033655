/** Bytes and numbers as Ethereum's JSON-RPC writes them. */
export type Hex = `0x${string}`

/** The bytes of a hex text; undefined when it is none. */
export function bytesOfHex(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || !/^0x(?:[0-9a-f]{2})*$/i.test(text)) return undefined
  return Buffer.from(text.slice(2), 'hex')
}

/** A quantity: without leading zeros. */
export function quantityOf(value: bigint | number): Hex {
  return `0x${value.toString(16)}`
}

/** The number of a quantity; undefined when it is none. */
export function numberOfHex(text: unknown): bigint | undefined {
  return typeof text === 'string' && /^0x[0-9a-f]{1,64}$/i.test(text) ? BigInt(text) : undefined
}

/** A word of the ABI: 64 digits without `0x`. */
export function wordOf(value: bigint | number): string {
  return value.toString(16).padStart(64, '0')
}
