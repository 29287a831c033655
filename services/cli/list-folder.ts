import { statSync, type Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { CommandError, EXIT } from './exit-codes.ts'

export interface LocalFile {
  /** On this machine, links resolved. */
  path: string
  /** Below the folder that is sent, with `/` between names. */
  name: string
  sizeBytes: number
}

export interface LocalFolder {
  files: LocalFile[]
  /** Folders with nothing to send in them, which would otherwise be lost. */
  emptyFolders: string[]
  /** What cannot be sent: links to folders and to what is not below the folder, sockets, devices, names that are no UTF-8. */
  left: string[]
  sizeBytes: number
}

/**
 * Everything below a folder, hidden or not, in the order of names. Links to files below the folder are sent as the files
 * they name.
 * @throws CommandError with `usage` when a folder cannot be read
 */
export async function listFolder(root: string, signal: AbortSignal): Promise<LocalFolder> {
  const realRoot = await realpath(root)
  const found: LocalFolder = { files: [], emptyFolders: [], left: [], sizeBytes: 0 }
  const pending = [realRoot]
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    signal.throwIfAborted()
    const listed = await entriesOf(folder)
    for (const entry of listed) {
      if (entry.isDirectory()) pending.push(join(folder, entry.name))
      else await addEntry(found, realRoot, join(folder, entry.name), entry)
    }
    if (listed.length === 0 && folder !== realRoot) found.emptyFolders.push(nameBelow(realRoot, folder))
  }
  found.files.sort((a, b) => (a.name < b.name ? -1 : 1))
  return found
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${folder} cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause })
  }
}

async function addEntry(found: LocalFolder, realRoot: string, path: string, entry: Dirent): Promise<void> {
  const name = nameBelow(realRoot, path)
  const target = entry.isSymbolicLink() ? await targetBelow(realRoot, path) : path
  // One call on this thread costs a tenth of one that goes through the thread pool, and there may be a million files.
  const status = target === undefined ? undefined : statSync(target, { throwIfNoEntry: false })
  if (target === undefined || status?.isFile() !== true) return void found.left.push(name)
  found.files.push({ path: target, name, sizeBytes: status.size })
  found.sizeBytes += status.size
}

/** Where a link leads in the end, when that is below the folder. */
async function targetBelow(realRoot: string, path: string): Promise<string | undefined> {
  const target = await realpath(path).catch(() => undefined)
  return target?.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep) === true ? target : undefined
}

function nameBelow(root: string, path: string): string {
  return relative(root, path).split(sep).join('/')
}

/** What a path on this machine is. */
export async function lookAt(path: string): Promise<{ kind: 'folder' } | { kind: 'file'; file: LocalFile }> {
  const status = await stat(path).catch(() => undefined)
  if (status?.isDirectory() === true) return { kind: 'folder' }
  if (status?.isFile() === true) return { kind: 'file', file: { path, name: path, sizeBytes: status.size } }
  throw new CommandError(EXIT.usage, `${path} is neither a file nor a folder that can be read.`)
}
