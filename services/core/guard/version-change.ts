/** What a token is known to point to. */
export interface PresentVersion {
  /** Null: it tells nothing any more. */
  uri: Uint8Array | null
  /** What else its contract says of it; null: nothing. */
  extensions: string | null
  /** Number of the block at which it was first read. */
  fromBlock: bigint
  /** That block is not on the chain any more. */
  isOrphan: boolean
}

/**
 * What a reading of a token at a block changes:
 * - `first`: nothing was known of it
 * - `confirm`: it points to the same after its block was reorganised away
 * - `replace`: it points elsewhere
 */
export type VersionChange = 'none' | 'first' | 'confirm' | 'replace'

/** @param present undefined: nothing is known of the token. What else is said of it counts when it could be looked at */
export function changeOf(
  present: PresentVersion | undefined,
  read: { uri: Uint8Array | null; extensions: string | null | undefined; block: bigint },
): VersionChange {
  if (present === undefined) return read.uri === null ? 'none' : 'first'
  const { uri, extensions, fromBlock, isOrphan } = present
  // It was read at a later block meanwhile.
  if (!isOrphan && fromBlock > read.block) return 'none'
  const saysSame = read.extensions === undefined || read.extensions === extensions
  if (saysSame && isSame(uri, read.uri)) return isOrphan ? 'confirm' : 'none'
  return 'replace'
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
