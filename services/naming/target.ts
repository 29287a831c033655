import { CID } from 'multiformats/cid'
import { checkCid, parseCid } from '../core/cid.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import type { IpnsRecord } from './ipns-record.ts'
import { nameText, parseName, type Name } from './name.ts'

/** What a name points to: content, or another name; and the way down from it (no segment empty, `.` or `..`). */
export type Target =
  | { namespace: 'ipfs'; root: CID; segments: string[] }
  | { namespace: 'ipns'; name: Name; segments: string[] }

/** What records say that point to nothing: the empty file inside an identity CID. */
const NOTHING = '/ipfs/bafkqaaa'

/**
 * Reads `/ipfs/{cid}[/…]` or `/ipns/{name}[/…]` as records and DNSLinks hold them: plain UTF-8, without percent encoding.
 * @throws NAME_NOT_RESOLVED when it is no such path
 */
export function parseTarget(path: string): Target {
  const [empty, namespace, root = '', ...rest] = path.split('/', MAX_PATH_SEGMENTS + 4)
  const segments = rest.filter((segment) => segment !== '' && segment !== '.')
  if (empty !== '' || path.includes('\0') || segments.includes('..') || segments.length > MAX_PATH_SEGMENTS) {
    throw noTarget(path)
  }
  try {
    if (namespace === 'ipfs') return { namespace, root: parseCid(root), segments }
    if (namespace === 'ipns') return { namespace, name: parseName(root), segments }
  } catch (cause) {
    throw noTarget(path, cause)
  }
  throw noTarget(path)
}

/**
 * What a record points to. Besides paths its value may be a binary CID (from the time before paths), or empty.
 * @throws NAME_NOT_RESOLVED when it is none of them
 */
export function targetOfRecord(record: IpnsRecord): Target {
  const { value } = record
  if (value.length === 0) return parseTarget(NOTHING)
  try {
    if (value[0] !== 0x2f) return { namespace: 'ipfs', root: checkCid(CID.decode(value)), segments: [] }
    return parseTarget(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value))
  } catch (cause) {
    if (hasCode(cause, 'NAME_NOT_RESOLVED')) throw cause
    throw noTarget('', cause)
  }
}

/** What a record points to as a content path, for showing; null when nothing can be followed there. */
export function shownTarget(record: IpnsRecord): string | null {
  try {
    const target = targetOfRecord(record)
    const root = target.namespace === 'ipfs' ? target.root.toString() : nameText(target.name)
    return ['', target.namespace, root, ...target.segments].join('/')
  } catch (cause) {
    if (hasCode(cause, 'NAME_NOT_RESOLVED')) return null
    throw cause
  }
}

function noTarget(path: string, cause?: unknown): HoldfastError {
  const shown = path === '' ? 'something' : JSON.stringify(path.slice(0, 128))
  return new HoldfastError('NAME_NOT_RESOLVED', `The name points to ${shown}, which is not a content path.`, { cause })
}
