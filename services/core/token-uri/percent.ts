/** Escapes that together are one character of UTF-8 (RFC 3629, section 4): nothing that this matches fails to decode. */
const ESCAPED_CHARACTERS = new RegExp(
  [
    '%[0-7]H',
    '%(?:c[2-9a-f]|dH)T',
    '%e0%[ab]HT',
    '%(?:e[1-9a-cef])TT',
    '%ed%[89]HT',
    '%f0%[9ab]HTT',
    '%f[1-3]TTT',
    '%f4%8HTT',
  ]
    .join('|')
    .replaceAll('T', '%[89ab]H')
    .replaceAll('H', '[0-9a-f]'),
  'gi',
)

/** Undoes percent-encoding once. An escape that is none, or no UTF-8, stays as it stands. Never throws. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replace(ESCAPED_CHARACTERS, decodeURIComponent)
  }
}
