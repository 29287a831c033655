import { createCipheriv } from 'node:crypto'

const CHUNK_BYTES = 65_536

/** The same bytes for the same seed, which do not repeat. */
export async function* pseudoRandom(bytes: number, seed: number): AsyncGenerator<Uint8Array> {
  const key = Buffer.alloc(16)
  key.writeUInt32LE(seed)
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) yield cipher.update(Buffer.alloc(Math.min(left, CHUNK_BYTES)))
}

export async function collected(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source))
}
