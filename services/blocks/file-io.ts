import { close, fdatasync, ftruncate, open, read, write } from 'node:fs'
import { open as openHandle } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Plain file descriptors: `FileHandle` costs about twice as much per read, and closes itself when it is collected. */

export const openFile = promisify(open)
export const closeFile = promisify(close)
export const syncFile = promisify(fdatasync)
export const truncateFile = promisify(ftruncate)

/** Reads until `target` is full or the file ends; answers how many bytes were read. */
export async function readAt(fd: number, target: Uint8Array, offset: number): Promise<number> {
  let done = 0
  while (done < target.length) {
    const count = await readOnce(fd, target, done, offset + done)
    if (count === 0) break
    done += count
  }
  return done
}

function readOnce(fd: number, target: Uint8Array, from: number, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, from, target.length - from, offset, (error, count) => (error ? reject(error) : resolve(count)))
  })
}

/** Writes all of `bytes`; a short write means that the disk is about to tell why. */
export async function writeAt(fd: number, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0
  while (done < bytes.length) done += await writeOnce(fd, bytes, done, offset + done)
}

function writeOnce(fd: number, bytes: Uint8Array, from: number, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.length - from, offset, (error, count) => (error ? reject(error) : resolve(count)))
  })
}

/** Makes names that were added to or removed from a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using handle = await openHandle(path, 'r')
  await handle.sync()
}
