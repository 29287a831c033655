import type { IncomingHttpHeaders } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { parseCarParameters, type CarParameters } from './car-parameters.ts'
import { parseContentPath, type ContentPath } from './content-path.ts'
import { negotiate, type Format } from './format.ts'
import type { Location } from './locate.ts'

/** A read, understood: everything of the HTTP request that an answer depends on. */
export interface GatewayRequest extends Location {
  method: 'GET' | 'HEAD'
  path: ContentPath
  format: Format
  formatByAccept: boolean
  car: CarParameters
  filename: string | undefined
  download: boolean
  range: string | undefined
  ifRange: string | undefined
  ifNoneMatch: string | undefined
  /** Names of ENS are read in the newest block (`head=1`), not in the newest one that is final. */
  isNewest: boolean
  /** Answer from this node's own disk or not at all. */
  onlyIfCached: boolean
}

/**
 * Reads what a request wants of the content at a location. Touches no content.
 * @throws METHOD_NOT_ALLOWED, BAD_REQUEST, NOT_ACCEPTABLE; NOT_FOUND and INVALID_CID as {@link parseContentPath}
 */
export function parseRequest(method: string, location: Location, headers: IncomingHttpHeaders): GatewayRequest {
  if (method !== 'GET' && method !== 'HEAD') {
    throw new HoldfastError('METHOD_NOT_ALLOWED', 'A gateway answers GET, HEAD and OPTIONS.')
  }
  const query = new URLSearchParams(location.rawQuery)
  const path = parseContentPath(location.rawPath)
  if (location.site.kind === 'path') refuseServiceWorker(path, headers)
  const { format, byAccept, carParameters } = negotiate(query.get('format'), headers.accept)
  return {
    ...location,
    method,
    path,
    format,
    formatByAccept: byAccept,
    car: parseCarParameters(query, carParameters),
    filename: query.get('filename') || undefined,
    download: query.get('download') === 'true',
    range: headers.range,
    ifRange: single(headers['if-range']),
    ifNoneMatch: headers['if-none-match'],
    isNewest: query.get('head') === '1',
    onlyIfCached: headers['cache-control']?.includes('only-if-cached') ?? false,
  }
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

/** A worker registered for the root of a path gateway would see every other site that the gateway serves. */
function refuseServiceWorker(path: ContentPath, headers: IncomingHttpHeaders): void {
  if (headers['service-worker'] !== 'script' || path.segments.length > 0 || path.trailingSlash) return
  throw new HoldfastError(
    'BAD_REQUEST',
    'A service worker cannot be registered here: it would reach beyond its content.',
  )
}
