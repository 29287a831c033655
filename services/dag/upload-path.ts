import { HoldfastError } from '../core/errors.ts'
import { MAX_NAME_BYTES, MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { isPlainName } from './plain-name.ts'

/**
 * The segments of a path in an upload: relative, separated by `/`. Names are kept byte for byte, so NFC and NFD spellings
 * stay distinct.
 * @throws BAD_REQUEST for an empty or absolute path, a segment that is no plain name, a name over 1,024 bytes or with
 *   lone surrogates (they have no UTF-8), more than 256 segments
 */
export function parseUploadPath(path: string): string[] {
  const segments = path.split('/', MAX_PATH_SEGMENTS + 1)
  if (segments.length > MAX_PATH_SEGMENTS) throw refused(path, `has more than ${MAX_PATH_SEGMENTS} segments`)
  for (const segment of segments) {
    if (!isPlainName(segment)) throw refused(path, 'has a segment that is empty, "." or "..", or holds NUL')
    if (!segment.isWellFormed()) throw refused(path, 'is not valid Unicode')
    if (Buffer.byteLength(segment) > MAX_NAME_BYTES) throw refused(path, `has a name over ${MAX_NAME_BYTES} bytes`)
  }
  return segments
}

function refused(path: string, reason: string): HoldfastError {
  const shown = path.length > 128 ? `${path.slice(0, 128)}…` : path
  return new HoldfastError('BAD_REQUEST', `The path ${JSON.stringify(shown)} ${reason}.`)
}
