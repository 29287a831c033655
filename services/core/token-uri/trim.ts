/** What has no width beyond ASCII: spaces of other scripts, joiners, marks of direction and of byte order. */
const INVISIBLE = /[\s\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]/

/**
 * The text without what contracts leave around it: white space, NUL at the end of fixed-width fields, marks without width
 * at the start of pasted text.
 */
export function trimInvisible(text: string): string {
  let start = 0
  let end = text.length
  // Not by a pattern with `$`: that takes quadratic time where a text holds many spaces.
  while (start < end && isInvisible(text.charCodeAt(start))) start++
  while (end > start && isInvisible(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isInvisible(code: number): boolean {
  if (code < 0x80) return code === 0x20 || code === 0 || (code >= 0x09 && code <= 0x0d)
  return INVISIBLE.test(String.fromCharCode(code))
}
