import { closeSync, openSync, readSync } from 'node:fs'
import { error, warning, type BuildProblem } from '../core/collection-build/problem.ts'
import { tokenOfFile, type TokenStandard } from '../core/collection-build/token-name.ts'
import type { LocalFile, LocalFolder } from './list-folder.ts'

/** A folder of images and metadata, taken apart. */
export interface CollectionFolder {
  /** Metadata of tokens, ascending by number. */
  tokens: { id: bigint; file: LocalFile }[]
  /** Metadata of the collection as a whole. */
  about: LocalFile[]
  /** Everything that metadata can name. */
  assets: LocalFile[]
  problems: BuildProblem[]
}

/** What file managers leave behind, and hidden files. */
const NOT_MEANT = /(?:^|\/)(?:\.[^/]*|Thumbs\.db|desktop\.ini)(?:\/|$)/i
const ABOUT = /(?:^|\/)(?:contract|collection)\.json$/
/** What generators write for themselves: all metadata in one file. */
const NOTES = /(?:^|\/)_[^/]*\.json$/i
const BARE_NUMBER = /(?:^|\/)(?:\d+|[0-9a-f]{64})$/
const HEAD_BYTES = 64

/** Tells metadata from the files that it names, and finds the token of each. */
export function splitCollection({ files, left }: LocalFolder, standard: TokenStandard): CollectionFolder {
  const found: CollectionFolder = { tokens: [], about: [], assets: [], problems: [] }
  const byId = new Map<bigint, LocalFile>()
  for (const name of left)
    found.problems.push(warning('LEFT_OUT', name, 'It is no file of this folder; it is left out.'))
  for (const file of files) {
    if (NOT_MEANT.test(file.name)) continue
    if (!isMetadata(file)) found.assets.push(file)
    else if (ABOUT.test(file.name)) found.about.push(file)
    else if (NOTES.test(file.name)) {
      found.problems.push(warning('LEFT_OUT', file.name, 'It is about no token; it is left out.'))
    } else addToken(file, standard, byId, found)
  }
  found.tokens.sort((a, b) => (a.id < b.id ? -1 : 1))
  return found
}

function addToken(
  file: LocalFile,
  standard: TokenStandard,
  byId: Map<bigint, LocalFile>,
  { tokens, problems }: CollectionFolder,
): void {
  const token = tokenOfFile(file.name, standard)
  if ('problem' in token) return void problems.push(token.problem)
  const other = byId.get(token.id)
  if (other !== undefined) {
    const message = `It is about token ${token.id}, and so is ${other.name}; take one of them away.`
    return void problems.push(error('DUPLICATE_TOKEN', file.name, message))
  }
  byId.set(token.id, file)
  tokens.push({ id: token.id, file })
}

/** By the name; of a number without an extension, which can be an image as well, by how the content begins. */
function isMetadata({ name, path }: LocalFile): boolean {
  return /\.json$/i.test(name) || (BARE_NUMBER.test(name) && /^\uFEFF?\s*[[{]/.test(headOf(path)))
}

function headOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(HEAD_BYTES)
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, HEAD_BYTES, 0))
  } finally {
    closeSync(file)
  }
}
