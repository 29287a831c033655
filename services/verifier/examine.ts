import { hasOtherDigest, type Integrity } from '../chain/token-extensions.ts'
import type { Abortable } from '../core/block-source.ts'
import { parseCid } from '../core/cid.ts'
import type { LinkFinding } from '../core/collection-report/finding.ts'
import { shownUri } from '../core/collection-report/shown-uri.ts'
import type { TokenVerdict } from '../core/collection-report/verdict.ts'
import {
  LIMITS_OF_METADATA,
  readMetadata,
  type Metadata,
  type MetadataLink,
  type MetadataProblem,
} from '../core/token-metadata/metadata.ts'
import { classifyTokenUri } from '../core/token-uri/classify.ts'
import { inlineContent } from '../core/token-uri/inline-content.ts'
import type { TokenUri, Verdict } from '../core/token-uri/token-uri.ts'
import { cidKey } from '../core/cid.ts'
import type { Contents, Loss, Read } from './contents.ts'

/** A token whose content is to be looked at. */
export interface TokenToExamine {
  id: bigint
  /** `read`, or why there is no URI. */
  outcome: string
  uri: string | undefined
  /** Further URIs of it. */
  others: readonly string[]
  /** What the bytes at `uri` must hash to. */
  integrity: Integrity | undefined
  /** Of ERC-1155: the id takes the place of `{id}`, also in the metadata. */
  isTemplate: boolean
}

/** A link before it is known who keeps its content. */
export type SeenLink = Omit<LinkFinding, 'pin'>

/** Reads a token's metadata and everything that it leads to. Never fails because of what a token points to. */
export async function examineToken(token: TokenToExamine, contents: Contents, options: Abortable): Promise<SeenLink[]> {
  const { id, outcome, uri, others, integrity, isTemplate } = token
  const substituted = isTemplate ? id : undefined
  const links =
    uri === undefined ? [unreadable(outcome)] : await examineUri({ uri, integrity, substituted }, contents, options)
  for (const other of others) {
    links.push(...(await examineUri({ uri: other, integrity: undefined, substituted }, contents, options)))
  }
  return links
}

interface UriToExamine {
  uri: string
  integrity: Integrity | undefined
  substituted: bigint | undefined
}

async function examineUri(
  { uri, integrity, substituted }: UriToExamine,
  contents: Contents,
  options: Abortable,
): Promise<SeenLink[]> {
  const names = classifyTokenUri(uri, substituted)
  const own = seen({ role: 'metadata', pointer: '', uri, names })
  const file = await metadataFile(own, { uri, names }, contents, options)
  if (file === undefined) return [own]
  if (integrity !== undefined && hasOtherDigest(file, integrity)) {
    Object.assign(own, { verdict: 'MISMATCH', reason: 'METADATA_DIGEST' } satisfies Loss)
  }
  const metadata = readMetadata(file, substituted)
  if ('problem' in metadata) return [{ ...own, ...problemOf(metadata.problem) }]
  return [own, ...(await examineLinks(metadata, contents, options))]
}

/** The bytes of the metadata; undefined when there are none, and `own` says why. */
async function metadataFile(
  own: SeenLink,
  { uri, names }: { uri: string; names: TokenUri },
  contents: Contents,
  options: Abortable,
): Promise<Uint8Array | undefined> {
  if (names.verdict === 'ON_CHAIN') {
    const bytes = inlineContent(uri)
    own.bytes = bytes.length
    return bytes
  }
  const target = await locate(own, names, contents, options)
  if (target === undefined) return undefined
  const file = noted(own, await contents.file(target, options))
  if (file !== undefined) own.bytes = file.length
  return file
}

async function examineLinks(
  { links, imageSha256 }: Metadata,
  contents: Contents,
  options: Abortable,
): Promise<SeenLink[]> {
  const distinct = new Map(links.map((link) => [`${link.role} ${link.names.cid ?? link.uri} ${link.names.path}`, link]))
  const all: SeenLink[] = []
  for (const link of distinct.values()) all.push(await examineLink(link, imageSha256, contents, options))
  return all
}

async function examineLink(
  link: MetadataLink,
  imageSha256: string | undefined,
  contents: Contents,
  options: Abortable,
): Promise<SeenLink> {
  const own = seen(link)
  const target = await locate(own, link.names, contents, options)
  if (target === undefined) return own
  const bytes = noted(own, await contents.asset(target, options))
  if (bytes === undefined) return own
  own.bytes = bytes
  if (link.role !== 'image' || link.pointer !== '/image' || imageSha256 === undefined) return own
  const sha256 = noted(own, await contents.sha256(target, options))
  return sha256 === undefined || sha256 === imageSha256 ? own : { ...own, verdict: 'MISMATCH', reason: 'IMAGE_SHA256' }
}

/** Where the path of a link on IPFS leads; undefined for other links, and when it leads nowhere. */
async function locate(own: SeenLink, names: TokenUri, contents: Contents, options: Abortable) {
  if (names.cid === null || !CHECKED.has(names.verdict)) return undefined
  const root = parseCid(names.cid)
  const target = noted(own, await contents.locate(root, { path: names.path, literal: names.literalPath }, options))
  if (target !== undefined) own.target = cidKey(target)
  return target
}

/** What was read; what went wrong is noted in the link. */
function noted<T>(own: SeenLink, { value, loss, corruptAt }: Read<T>): T | undefined {
  if (loss !== undefined) Object.assign(own, loss)
  if (corruptAt.length > 0) {
    own.corruptAt = [...new Set([...own.corruptAt, ...corruptAt])].sort()
    Object.assign(own, { verdict: 'CORRUPT', reason: 'WRONG_BYTES' } satisfies Loss)
  }
  return value
}

const CHECKED: ReadonlySet<Verdict> = new Set<Verdict>(['IMMUTABLE', 'IMMUTABLE_VIA_GATEWAY'])

/** What the form of a URI says of a token before anything is read. */
const BY_FORM: Readonly<Record<Verdict, readonly [TokenVerdict, string | null]>> = {
  IMMUTABLE: ['VERIFIED', null],
  IMMUTABLE_VIA_GATEWAY: ['VERIFIED_GATEWAY_LINK', null],
  MUTABLE: ['MUTABLE', 'NAME'],
  ON_CHAIN: ['ON_CHAIN', null],
  INDIRECT: ['UNKNOWN', 'INDIRECT'],
  OTHER_NETWORK: ['OTHER_NETWORK', 'OTHER_NETWORK'],
  CENTRALISED: ['CENTRALISED', 'SERVER'],
  UNSUPPORTED: ['UNKNOWN', 'UNSUPPORTED'],
  UNSAFE: ['INVALID_METADATA', 'UNSAFE_URI'],
  INVALID: ['INVALID_METADATA', 'INVALID_URI'],
  EMPTY: ['INVALID_METADATA', 'EMPTY_URI'],
}

function seen({ role, pointer, uri, names }: Omit<MetadataLink, 'role'> & { role: string }): SeenLink {
  const [verdict, reason] = BY_FORM[names.verdict]
  const { kind, cid, path } = names
  return {
    role,
    pointer,
    uri: shownUri(uri),
    kind,
    verdict,
    reason,
    cid,
    path,
    target: null,
    bytes: null,
    corruptAt: [],
  }
}

function unreadable(outcome: string): SeenLink {
  const verdict = outcome === 'too-long' || outcome === 'not-run' ? 'UNKNOWN' : 'UNREADABLE'
  const reason = outcome.toUpperCase().replaceAll('-', '_')
  const nothing = { uri: '', kind: '', cid: null, path: '', target: null, bytes: null, corruptAt: [] }
  return { role: 'metadata', pointer: '', verdict, reason, ...nothing }
}

function problemOf(problem: MetadataProblem): Loss {
  return { verdict: LIMITS_OF_METADATA.has(problem) ? 'UNKNOWN' : 'INVALID_METADATA', reason: problem }
}
