import { MAX_PATH_SEGMENTS } from '../limits.ts'
import { decodePercent } from './percent.ts'

/** A way down from a root, or why none of it is given. */
export type ReadPath = { path: string; problem?: undefined } | { path: ''; problem: 'UNSAFE' | 'UNSUPPORTED' }

/** `.` and `..` between separators, of Windows too: programs that write files take both. */
const DOT_SEGMENT = /(?:^|[\\/])\.\.?(?:[\\/]|$)/

/**
 * Reads the path of a URI, without query and fragment. Percent-encoding is undone once; an encoded slash separates as
 * a plain one does, as in gateways; empty segments are dropped.
 */
export function readPath(raw: string): ReadPath {
  if (raw === '') return { path: '' }
  const decoded = decodePercent(raw)
  if (decoded.includes('\0') || DOT_SEGMENT.test(decoded)) return { path: '', problem: 'UNSAFE' }
  const segments = decoded.split('/').filter((segment) => segment !== '')
  if (segments.length > MAX_PATH_SEGMENTS) return { path: '', problem: 'UNSUPPORTED' }
  return { path: segments.join('/').toWellFormed() }
}
