import { classifyTokenUri } from '../token-uri/classify.ts'
import type { Kind, TokenUri } from '../token-uri/token-uri.ts'
import { MIB } from '../units.ts'
import { jsonStrings, type JsonProblem, type JsonString } from './json-strings.ts'
import { roleOf, type Role } from './roles.ts'

/** A string of a token's metadata that leads somewhere. */
export interface MetadataLink {
  role: Role
  /** Where it stands: a JSON pointer (RFC 6901). */
  pointer: string
  uri: string
  names: TokenUri
}

export interface Metadata {
  links: MetadataLink[]
  /** Hex of the SHA-256 that the image must have, where the metadata says so. */
  imageSha256: string | undefined
}

export type MetadataProblem = JsonProblem | 'NOT_UTF8' | 'NO_OBJECT' | 'TOO_LARGE' | 'TOO_MANY_LINKS'

export const MAX_METADATA_BYTES = MIB
const MAX_METADATA_LINKS = 256

/** Problems that are limits of ours: the metadata may be sound. */
export const LIMITS_OF_METADATA: ReadonlySet<MetadataProblem> = new Set<MetadataProblem>([
  'TOO_LARGE',
  'TOO_DEEP',
  'TOO_MANY_NODES',
  'TOO_MANY_LINKS',
])

/** Kinds that count wherever they stand. */
const COUNT_ANYWHERE: ReadonlySet<Kind> = new Set<Kind>(['ipfs', 'ipfs-gateway', 'arweave'])
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads the metadata of a token: every string of it that leads somewhere. It is somebody's file, so that its size, depth,
 * keys and links are bounded before they cost anything.
 * @param tokenId of ERC-1155: takes the place of `{id}` in every string
 */
export function readMetadata(bytes: Uint8Array, tokenId?: bigint): Metadata | { problem: MetadataProblem } {
  const found = readMetadataText(bytes)
  if ('problem' in found) return found
  const links = found.strings.flatMap((string) => linkOf(string, found.strings, tokenId))
  if (links.length > MAX_METADATA_LINKS) return { problem: 'TOO_MANY_LINKS' }
  return { links, imageSha256: imageSha256In(found.strings) }
}

/** The text of a token's metadata, with every string of it. A byte order mark is left out. */
export function readMetadataText(
  bytes: Uint8Array,
): { text: string; strings: JsonString[] } | { problem: MetadataProblem } {
  if (bytes.length > MAX_METADATA_BYTES) return { problem: 'TOO_LARGE' }
  const text = decoded(bytes)
  if (text === undefined) return { problem: 'NOT_UTF8' }
  const found = jsonStrings(text)
  if ('problem' in found) return found
  if (!/^\s*\{/.test(text)) return { problem: 'NO_OBJECT' }
  return { text, strings: found.strings }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

function linkOf({ path, value }: JsonString, all: readonly JsonString[], tokenId: bigint | undefined): MetadataLink[] {
  const role = roleOf(path)
  if (role === 'external') return []
  const uri = role === 'localization' ? localized(value, all) : value
  if (uri === undefined) return []
  const names = classifyTokenUri(uri, tokenId)
  if (names.verdict === 'EMPTY' || (role === 'other' && !COUNT_ANYWHERE.has(names.kind))) return []
  return [{ role, pointer: pointerOf(path), uri, names }]
}

/** The link for the default language; undefined when the metadata does not say which that is. */
function localized(uri: string, all: readonly JsonString[]): string | undefined {
  if (!uri.includes('{locale}')) return uri
  const locale = all.find(({ path }) => path.join('/') === 'localization/default')?.value
  return locale === undefined ? undefined : uri.replaceAll('{locale}', locale)
}

function imageSha256In(strings: readonly JsonString[]): string | undefined {
  const text = strings.find(({ path }) => path.join('/') === 'image_details/sha256')?.value
  return /^(?:0x)?([0-9a-f]{64})$/i.exec(text ?? '')?.[1]?.toLowerCase()
}

function pointerOf(path: readonly string[]): string {
  return path.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
