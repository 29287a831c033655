/**
 * All pieces together, to be held in memory.
 * @throws what `tooMuch` makes, as soon as there are more bytes than that
 */
export async function bytesUpTo(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooMuch: () => Error,
): Promise<Buffer> {
  const kept: Uint8Array[] = []
  let length = 0
  for await (const piece of pieces) {
    length += piece.length
    if (length > maxBytes) throw tooMuch()
    kept.push(piece)
  }
  return Buffer.concat(kept)
}
