import mime from 'mime'

/**
 * The media type of a file: by the extension of its name, else by its first bytes.
 * Text is said to be UTF-8, but not HTML: a page says so itself.
 * @param head the first bytes, {@link SNIFF_BYTES} of them; not looked at when the name tells enough
 */
export function mediaTypeOf(name: string | undefined, head: Uint8Array, sizeBytes: number): string {
  const type = typeByName(name) ?? sniff(head, sizeBytes)
  return type.startsWith('text/') && type !== 'text/html' ? `${type}; charset=utf-8` : type
}

/** Whether the name alone tells the media type. */
export function namesMediaType(name: string | undefined): boolean {
  return typeByName(name) !== undefined
}

/** The part behind the last dot decides; a name without a dot is no extension, though `mime` takes it for one. */
function typeByName(name: string | undefined): string | undefined {
  return name?.includes('.') === true ? (mime.getType(name) ?? undefined) : undefined
}

export const SNIFF_BYTES = 512

/** How files without a name begin, NFT images and media above all. */
const SIGNATURES: readonly (readonly [type: string, offset: number, bytes: string])[] = [
  ['image/png', 0, '\u0089PNG\r\n\u001a\n'],
  ['image/jpeg', 0, '\u00ff\u00d8\u00ff'],
  ['image/gif', 0, 'GIF87a'],
  ['image/gif', 0, 'GIF89a'],
  ['image/webp', 8, 'WEBPVP'],
  ['image/avif', 4, 'ftypavif'],
  ['image/bmp', 0, 'BM'],
  ['application/pdf', 0, '%PDF-'],
  ['video/mp4', 4, 'ftyp'],
  ['video/webm', 0, '\u001aE\u00df\u00a3'],
  ['audio/mpeg', 0, 'ID3'],
  ['audio/wave', 8, 'WAVE'],
  ['application/ogg', 0, 'OggS\0'],
  ['model/gltf-binary', 0, 'glTF'],
  ['application/wasm', 0, '\0asm'],
  ['application/zip', 0, 'PK\u0003\u0004'],
  ['application/gzip', 0, '\u001f\u008b\u0008'],
  ['font/woff2', 0, 'wOF2'],
]

function sniff(head: Uint8Array, sizeBytes: number): string {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, SNIFF_BYTES))
  const latin = bytes.toString('latin1')
  const known = SIGNATURES.find(([, offset, signature]) => latin.startsWith(signature, offset))
  if (known !== undefined) return known[0]
  const text = textOf(head)
  return text === undefined ? 'application/octet-stream' : sniffText(text.trimStart(), sizeBytes)
}

function sniffText(text: string, sizeBytes: number): string {
  if (/^(<!--.*?-->\s*)*(<!doctype html|<(html|head|body|script|iframe|title|style)\b)/is.test(text)) return 'text/html'
  if (/^(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype svg[^>]*>\s*)?<svg\b/is.test(text)) return 'image/svg+xml'
  if (text.startsWith('<?xml')) return 'text/xml'
  return looksLikeJson(text, sizeBytes) ? 'application/json' : 'text/plain'
}

/** NFT metadata is read by its bare CID. What is longer than the sniffed part only has to begin like JSON. */
function looksLikeJson(text: string, sizeBytes: number): boolean {
  if (sizeBytes > SNIFF_BYTES) return /^(\{\s*("|\})|\[\s*["{[\]\d-])/.test(text)
  if (!/^[{[]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The first bytes as text; undefined when they hold what no text does. A character cut off at the end is left out. */
function textOf(head: Uint8Array): string | undefined {
  try {
    const part = head.subarray(0, SNIFF_BYTES)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(part, { stream: head.length >= SNIFF_BYTES })
    return CONTROL_CHARACTER.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what tells bytes from text
const CONTROL_CHARACTER = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f]/

const PASSIVE_TYPE = /^(image\/(?!svg)|audio\/|video\/|font\/|text\/plain|application\/(pdf|json|octet-stream)\b)/

/** Whether a browser may run something when it opens content of this type as a page. */
export function isActive(mediaType: string): boolean {
  return !PASSIVE_TYPE.test(mediaType)
}
