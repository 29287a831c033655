import { createReadStream } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { CommandError, EXIT } from './exit-codes.ts'

export interface LocalFile {
  /** On this machine. */
  path: string
  /** Below the folder that is sent, with `/` between names. */
  name: string
  sizeBytes: number
}

export interface LocalFolder {
  files: LocalFile[]
  /** Folders with nothing in them, which would otherwise be lost. */
  emptyFolders: string[]
  /** What cannot be sent: links that lead outside, in circles or nowhere, sockets, devices. */
  left: string[]
  sizeBytes: number
}

/** Whether a path is a file or a folder. */
export async function kindOf(path: string): Promise<'file' | 'folder'> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) return 'folder'
  if (found?.isFile() === true) return 'file'
  throw new CommandError(EXIT.usage, `${path} is neither a file nor a folder that can be read.`)
}

/** Everything below a folder, in the order of names. Links to files inside the folder are sent as the files they name. */
export async function listFolder(root: string): Promise<LocalFolder> {
  const real = await realpath(root)
  const found: LocalFolder = { files: [], emptyFolders: [], left: [], sizeBytes: 0 }
  const pending = [root]
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const names = (await readdir(folder)).sort()
    if (names.length === 0 && folder !== root) found.emptyFolders.push(nameBelow(root, folder))
    for (const name of names.toReversed()) {
      const path = join(folder, name)
      const entry = await lstat(path)
      if (entry.isDirectory()) pending.push(path)
      else if (entry.isFile() || (await isFileInside(path, real))) await addFile(found, root, path)
      else found.left.push(nameBelow(root, path))
    }
  }
  found.files.sort((a, b) => (a.name < b.name ? -1 : 1))
  return found
}

async function addFile(found: LocalFolder, root: string, path: string): Promise<void> {
  const { size } = await stat(path)
  found.files.push({ path, name: nameBelow(root, path), sizeBytes: size })
  found.sizeBytes += size
}

async function isFileInside(path: string, realRoot: string): Promise<boolean> {
  try {
    const target = await realpath(path)
    return target.startsWith(realRoot + sep) && (await stat(target)).isFile()
  } catch {
    return false
  }
}

function nameBelow(root: string, path: string): string {
  return relative(root, path).split(sep).join('/')
}

/** The bytes of a file; fails when the file is no longer as long as it was when it was listed. */
export async function* readLocalFile(file: LocalFile, onBytes: (count: number) => void): AsyncGenerator<Uint8Array> {
  let read = 0
  for await (const chunk of createReadStream(file.path, { highWaterMark: 1_048_576 }) as AsyncIterable<Uint8Array>) {
    read += chunk.length
    onBytes(chunk.length)
    yield chunk
  }
  if (read !== file.sizeBytes) throw new CommandError(EXIT.failure, `${file.path} changed while it was sent.`)
}

export async function localFile(path: string): Promise<LocalFile> {
  return { path, name: basename(path), sizeBytes: (await stat(path)).size }
}
