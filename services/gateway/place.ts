import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import type { FollowedEns } from '../naming/name-resolver.ts'
import type { Names } from './names.ts'
import type { GatewayRequest } from './request.ts'

/** Where a request's content is, once its name has been followed. */
export interface Place {
  root: CID
  /** The way down from the root, that of the name before that of the request. */
  segments: readonly string[]
  /** How many of the segments are the name's: the site begins below them. */
  ofName: number
  /** How long caches may keep what is found there; undefined: for ever. */
  maxAgeMs: number | undefined
  /** The name of ENS that led there; undefined when none did. */
  ens?: FollowedEns | undefined
}

/**
 * The place that a content path means.
 * @throws what {@link Names.resolve} throws; BAD_REQUEST when name and request together make too long a path
 */
export async function placeOf(
  { path, isNewest }: Pick<GatewayRequest, 'path' | 'isNewest'>,
  { names, signal }: { names: Names } & Abortable,
): Promise<Place> {
  if (path.namespace === 'ipfs') {
    return { root: path.root, segments: path.segments, ofName: 0, maxAgeMs: undefined }
  }
  const named = await names.resolve(path.root, {
    isEns: path.namespace === 'ens',
    isNewest,
    ...(signal && { signal }),
  })
  const segments = [...named.segments, ...path.segments]
  if (segments.length > MAX_PATH_SEGMENTS) {
    throw new HoldfastError('BAD_REQUEST', `A path may have at most ${MAX_PATH_SEGMENTS} segments.`)
  }
  return { root: named.root, segments, ofName: named.segments.length, maxAgeMs: named.maxAgeMs, ens: named.ens }
}
