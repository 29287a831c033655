import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { KIB } from '../core/units.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { LocalFile } from './list-folder.ts'

const CHUNK_BYTES = 256 * KIB

/**
 * The bytes of a file, exactly as many as it had when it was listed.
 * @throws CommandError with `failure` when it cannot be read, or is not what it was: whoever gets the bytes must not
 *   take them for the whole file
 */
export async function* readLocalFile(file: LocalFile): AsyncGenerator<Uint8Array> {
  try {
    if (file.sizeBytes <= CHUNK_BYTES) yield readSmallFile(file)
    else yield* readLargeFile(file)
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'it has gone' : (code ?? message)
    throw new CommandError(EXIT.failure, `${file.path} cannot be read: ${reason}.`, { cause })
  }
}

/** On this thread: a folder may have 100,000 files, and each trip through the thread pool costs as much as the file. */
function readSmallFile(file: LocalFile): Uint8Array {
  const bytes = readFileSync(file.path)
  if (bytes.length !== file.sizeBytes) throw changed(file)
  return bytes
}

async function* readLargeFile(file: LocalFile): AsyncGenerator<Uint8Array> {
  await using handle = await open(file.path)
  const before = await handle.stat()
  if (before.size !== file.sizeBytes) throw changed(file)
  for (let left = file.sizeBytes; left > 0;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES)))
    if (bytesRead === 0) throw changed(file)
    left -= bytesRead
    // The last bytes are held back until it is sure that they end the file that was begun.
    if (left === 0) await assertSame(file, before.mtimeMs, handle)
    yield buffer.subarray(0, bytesRead)
  }
}

async function assertSame(
  file: LocalFile,
  mtimeMs: number,
  handle: { stat(): Promise<{ size: number; mtimeMs: number }> },
): Promise<void> {
  const after = await handle.stat()
  if (after.size !== file.sizeBytes || after.mtimeMs !== mtimeMs) throw changed(file)
}

function changed({ path }: LocalFile): CommandError {
  return new CommandError(EXIT.failure, `${path} changed while it was sent; nothing was stored.`)
}
