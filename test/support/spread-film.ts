/** Where an MP4 says that a chunk of sound or pictures lies. */
interface ChunkEntry {
  /** Position of the entry. */
  at: number
  /** What it says: a position in the file. */
  offset: number
}

/**
 * The same film with room between its chunks, as if there were much in each picture: a player that seeks has to skip.
 * @param film an MP4 that ends with its `mdat`
 */
export function spreadFilm(film: Buffer, roomBytes: number): Buffer {
  const head = Buffer.from(film)
  const chunks = chunkEntries(film).sort((left, right) => left.offset - right.offset)
  const start = chunks[0]?.offset ?? film.length
  const pieces: Buffer[] = []
  for (const [index, { at, offset }] of chunks.entries()) {
    head.writeUInt32BE(offset + index * roomBytes, at)
    pieces.push(film.subarray(offset, chunks[index + 1]?.offset), Buffer.alloc(roomBytes))
  }
  const mdat = film.lastIndexOf('mdat', start) - 4
  head.writeUInt32BE(film.readUInt32BE(mdat) + chunks.length * roomBytes, mdat)
  return Buffer.concat([head.subarray(0, start), ...pieces])
}

/** The entries of all `stco` boxes: a length, the name, version and flags, a count, and so many positions. */
function chunkEntries(film: Buffer): ChunkEntry[] {
  const entries: ChunkEntry[] = []
  for (let name = film.indexOf('stco'); name !== -1; name = film.indexOf('stco', name + 4)) {
    const count = film.readUInt32BE(name + 8)
    for (let at = name + 12; at < name + 12 + 4 * count; at += 4) entries.push({ at, offset: film.readUInt32BE(at) })
  }
  return entries
}
