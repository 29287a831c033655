import type { BlockSink } from '../core/block-source.ts'
import { addDirectory, type DirectoryItem } from '../dag/add-directory.ts'
import type { LocalFolder } from './list-folder.ts'
import { readLocalFile } from './read-local-file.ts'

/** Nothing is kept: only what the blocks hash to is wanted. */
const NOWHERE: BlockSink = {
  get: () => Promise.resolve(undefined),
  put: () => Promise.resolve(),
  has: () => false,
}

/** The CID that a folder has once it is uploaded. Each file is read once. */
export async function rootOfFolder(folder: LocalFolder, signal: AbortSignal): Promise<string> {
  const { root } = await addDirectory(itemsOf(folder), NOWHERE, { signal })
  return root.toString()
}

function* itemsOf({ files, emptyFolders }: LocalFolder): Generator<DirectoryItem> {
  for (const path of emptyFolders) yield { path }
  for (const file of files) yield { path: file.name, content: readLocalFile(file) }
}
