import { createHash } from 'node:crypto'

/** Whether an `If-None-Match` header names the tag; compared weakly, as GET and HEAD do (RFC 9110, section 13.1.2). */
export function noneMatchNames(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  const opaque = withoutWeakness(etag)
  return header.split(',').some((candidate) => withoutWeakness(candidate.trim()) === opaque)
}

/** Whether a `Range` header holds: an `If-Range` names the very tag that the answer has (a date never does). */
export function ifRangeHolds(header: string | undefined, etag: string): boolean {
  return header === undefined || (header === etag && !etag.startsWith('W/'))
}

/** A short text for a tag that differs whenever one of the parts does. */
export function fingerprint(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16)
}

function withoutWeakness(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag
}
