import { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../core/errors.ts'
import { lockFile } from './layout.ts'

/**
 * Makes this the only writer of the folder until it is disposed or the process ends, however that happens.
 * An exclusive SQLite transaction on an empty file is a record lock of the operating system that Node can hold without
 * an add-on: unlike a file with a process id it cannot outlive its holder, and it works across containers.
 * @throws CONFLICT when another writer has the folder
 */
export function lockForWriting(folder: string): Disposable {
  const database = new DatabaseSync(lockFile(folder))
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    if (!isBusy(cause)) throw cause
    throw new HoldfastError('CONFLICT', `Another process has the block store at ${folder} open for writing.`, { cause })
  }
  return { [Symbol.dispose]: () => database.close() }
}

/** SQLITE_BUSY. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5
}
