import { HoldfastError } from '../core/errors.ts'

/** A file or an empty directory that was imported: its number in the record, and the Tsize of links to it. */
export interface TreeEntry {
  number: number
  tsize: number
}

/** A directory being gathered, by names. A million entries take about 200 MB, so entries are small. */
export type TreeDirectory = Map<string, TreeDirectory | TreeEntry>

/**
 * Places an entry in the tree, and makes the directories above it.
 * @throws BAD_REQUEST when the path is taken, or a file is on the way
 */
export function placeFile(root: TreeDirectory, segments: readonly string[], entry: TreeEntry): void {
  const parent = directoryAt(root, segments.slice(0, -1), segments)
  const name = segments.at(-1) as string
  if (parent.has(name)) throw conflict(segments, 'appears twice')
  parent.set(name, entry)
}

/**
 * Makes a directory, and those above it; harmless when it is there.
 * @throws BAD_REQUEST when a file is on the way
 */
export function placeDirectory(root: TreeDirectory, segments: readonly string[]): void {
  directoryAt(root, segments, segments)
}

/** @throws BAD_REQUEST what {@link placeFile} would throw, before the content of the file is read */
export function checkFree(root: TreeDirectory, segments: readonly string[]): void {
  let at: TreeDirectory | TreeEntry | undefined = root
  for (const segment of segments) {
    if (!(at instanceof Map)) throw conflict(segments, 'leads through a file')
    at = at.get(segment)
    if (at === undefined) return
  }
  throw conflict(segments, 'appears twice')
}

function directoryAt(root: TreeDirectory, segments: readonly string[], path: readonly string[]): TreeDirectory {
  let at = root
  for (const segment of segments) {
    const next = at.get(segment) ?? new Map<string, TreeDirectory | TreeEntry>()
    if (!(next instanceof Map)) throw conflict(path, 'leads through a file')
    at.set(segment, next)
    at = next
  }
  return at
}

function conflict(segments: readonly string[], what: string): HoldfastError {
  return new HoldfastError('BAD_REQUEST', `The path ${JSON.stringify(segments.join('/'))} ${what}.`)
}
