/** What JSON can say. Numbers are finite. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/**
 * JSON in its one canonical form (RFC 8785): keys in the order of their UTF-16 units, no white space, numbers as
 * ECMAScript writes them. Halves of surrogate pairs, which I-JSON forbids, become U+FFFD.
 * @param value not deep: it is our own, of few levels
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed())
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError('JSON has no such number')
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key.toWellFormed())}:${canonicalJson(value[key] as Json)}`)
  return `{${fields.join(',')}}`
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value)
}
