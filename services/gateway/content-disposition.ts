/**
 * A `Content-Disposition` value whose file name cannot break out of it: an ASCII form for old clients, with what it
 * cannot say replaced, and beside it the whole name (RFC 6266, RFC 8187). A path in the name is cut to its last part.
 */
export function contentDisposition(kind: 'inline' | 'attachment', filename: string): string {
  const name = lastPart(filename).slice(0, MAX_NAME_CHARACTERS)
  const ascii = name.replaceAll(/[^\u0020-\u007e]/gu, '_').replaceAll(/["\\]/g, '_')
  const plain = `${kind}; filename="${ascii}"`
  return ascii === name ? plain : `${plain}; filename*=UTF-8''${encodeExtended(name)}`
}

/** What file systems take, so that one name does not fill the header. */
const MAX_NAME_CHARACTERS = 255

function lastPart(filename: string): string {
  return filename.toWellFormed().split(/[/\\]/).at(-1) ?? ''
}

/** The attr-char set of RFC 8187 is narrower than what encodeURIComponent leaves alone. */
function encodeExtended(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
