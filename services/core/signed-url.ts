import { createHmac, timingSafeEqual } from 'node:crypto'

/** Until when a signed URL is good: seconds since 1970, UTC. */
const EXPIRY_PARAMETER = 'hf-exp'
/** The content path that is signed, with all below it; the URL's own path when it is not there. */
const PREFIX_PARAMETER = 'hf-prefix'
const SIGNATURE_PARAMETER = 'hf-sig'

/** What a URL says of its signature. */
export interface UrlSignature {
  prefix: string | undefined
  expiresSeconds: number
  signature: string
}

/**
 * The signature of a content path and all below it: HMAC-SHA256 over `holdfast-url`, the path and the expiry, each on a
 * line of its own, in base64url.
 * @param prefix `/ipfs/{cid}` or `/ipns/{name}` with or without segments, percent-encoded, without a slash at its end
 */
export function signUrl(key: Uint8Array, prefix: string, expiresSeconds: number): string {
  return createHmac('sha256', key).update(`holdfast-url\n${prefix}\n${expiresSeconds}`).digest('base64url')
}

/** The signature that a query string carries; undefined when it carries none that could be one. */
export function readUrlSignature(query: URLSearchParams): UrlSignature | undefined {
  const expires = query.get(EXPIRY_PARAMETER) ?? ''
  const signature = query.get(SIGNATURE_PARAMETER) ?? ''
  if (!/^\d{1,12}$/.test(expires) || !/^[\w-]{43}$/.test(signature)) return undefined
  return { prefix: query.get(PREFIX_PARAMETER) ?? undefined, expiresSeconds: Number(expires), signature }
}

/** Whether one of the keys made the signature. All of them are tried, in constant time each. */
export function isUrlSignedBy(keys: readonly Uint8Array[], prefix: string, url: UrlSignature): boolean {
  const signature = Buffer.from(url.signature)
  return keys
    .map((key) => timingSafeEqual(Buffer.from(signUrl(key, prefix, url.expiresSeconds)), signature))
    .includes(true)
}

/** Whether a path is the prefix or lies below it. */
export function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`)
}
