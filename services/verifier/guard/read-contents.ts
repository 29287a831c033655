import {
  saveContents,
  unreadVersions,
  type Asset,
  type ReadContent,
  type UnreadVersion,
} from '../../catalog/guards-content.ts'
import { RECONCILE } from '../../catalog/wake.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import { hasOtherDigest, type Integrity, type TokenExtensions } from '../../chain/token-extensions.ts'
import type { Abortable } from '../../core/block-source.ts'
import { parseCid } from '../../core/cid.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import { readMetadata } from '../../core/token-metadata/metadata.ts'
import { classifyTokenUri } from '../../core/token-uri/classify.ts'
import { inlineContent } from '../../core/token-uri/inline-content.ts'
import type { TokenUri } from '../../core/token-uri/token-uri.ts'
import { HOUR_MS, SECOND_MS } from '../../core/units.ts'
import { CheckedSource } from '../checked-source.ts'
import { Contents, type Loss } from '../contents.ts'
import { severalAtOnce } from '../several-at-once.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { hasContent, rootOf } from './read-uri.ts'

/** Versions that are read, and saved, together. */
const SLICE = 256
const AT_ONCE = 32
const FIRST_PAUSE_MS = 5 * SECOND_MS
/** Then it is told that the metadata is missing, and looked for once an hour. */
const TRIES = 8

/**
 * Reads the metadata of tokens, once some node has it, and pins what it leads to. Answers whether there may be more.
 */
export async function readContents(chain: FollowedChain, parts: GuardParts): Promise<boolean> {
  const { db, wakes, signal } = parts
  const unread = await unreadVersions(db, chain.id, SLICE)
  if (unread.length === 0) return false
  const contents = new Contents(new CheckedSource(await parts.holders()))
  const read = await severalAtOnce(unread, AT_ONCE, (version) => readOne(version, contents, { signal }))
  const byGuard = Map.groupBy(
    unread.map(({ guardId }, index) => ({ guardId, content: read[index] as ReadContent })),
    ({ guardId }) => guardId,
  )
  let pinned = 0
  for (const [guardId, found] of byGuard) {
    const all = found.map(({ content }) => content)
    pinned += await saveContents(db, chain.leading, guardId, all)
  }
  if (pinned > 0) wakes.announce(RECONCILE)
  return unread.length === SLICE
}

/** Reads the metadata at all URIs of a version. What is there counts, whatever becomes of the others. */
async function readOne(version: UnreadVersion, contents: Contents, options: Abortable): Promise<ReadContent> {
  const { id, collection, tokenId, uri, tries } = version
  const id1155 = parseCollectionId(collection).standard === 'erc1155' ? BigInt(tokenId) : undefined
  const token = id1155 === CONTRACT_ITSELF ? undefined : id1155
  const { uris = [], integrity } = JSON.parse(version.extensions ?? '{}') as TokenExtensions
  const own = await readMetadataAt({ uri: uri.toString('utf8'), token, integrity }, contents, options)
  const found = [own]
  for (const other of uris) found.push(await readMetadataAt({ uri: other, token }, contents, options))
  const losses = found.flatMap(({ loss }) => loss ?? [])
  // What is not there now may come; what the bytes themselves say stays so.
  const late = losses.filter(({ reason }) => MAY_COME.has(reason))
  const isGone = losses.some(({ verdict, reason }) => verdict === 'MISSING' && !MAY_COME.has(reason))
  const isOther = own.loss?.verdict === 'MISMATCH'
  return {
    id,
    assets: found.flatMap(({ assets }) => assets),
    isCentralised: found.some(({ isCentralised }) => isCentralised),
    reason: losses[0]?.reason ?? null,
    againMs: late.length > 0 ? Math.min(HOUR_MS, FIRST_PAUSE_MS * 2 ** tries) : undefined,
    isMissing: late.length > 0 ? tries + 1 === TRIES : isGone,
    isOther: isOther && version.reason !== own.loss?.reason,
  }
}

const MAY_COME: ReadonlySet<string> = new Set(['NOBODY_HAS_IT', 'SOURCES_FAILED', 'WRONG_BYTES'])

interface FoundMetadata {
  assets: Asset[]
  isCentralised: boolean
  /** Why it could not be read, leads nowhere, or is another than the contract says. */
  loss?: { verdict?: string; reason: string }
}

const NOTHING: FoundMetadata = { assets: [], isCentralised: false }

async function readMetadataAt(
  { uri, token, integrity }: { uri: string; token: bigint | undefined; integrity?: Integrity | undefined },
  contents: Contents,
  options: Abortable,
): Promise<FoundMetadata> {
  const names = classifyTokenUri(uri, token)
  if (!hasContent(names)) return NOTHING
  const file = await fileOf(uri, names, contents, options)
  if (!(file instanceof Uint8Array)) return { ...NOTHING, loss: file }
  const isOther = integrity !== undefined && hasOtherDigest(file, integrity)
  const mismatch = isOther ? { loss: { verdict: 'MISMATCH', reason: 'METADATA_DIGEST' } } : {}
  const metadata = readMetadata(file, token)
  if ('problem' in metadata) return { ...NOTHING, loss: { reason: metadata.problem }, ...mismatch }
  const assets = metadata.links.flatMap(({ role, names: linked }): Asset[] => {
    const cid = rootOf(linked)
    return cid === null ? [] : [{ cid, role, isFolder: linked.path !== '' }]
  })
  return { assets, isCentralised: metadata.links.some((link) => link.names.verdict === 'CENTRALISED'), ...mismatch }
}

async function fileOf(
  uri: string,
  names: TokenUri,
  contents: Contents,
  options: Abortable,
): Promise<Uint8Array | Loss> {
  if (names.cid === null) return inlineContent(uri)
  const where = { path: names.path, literal: names.literalPath }
  const target = await contents.locate(parseCid(names.cid), where, options)
  if (target.loss !== undefined) return target.loss
  const file = await contents.file(target.value, options)
  return file.loss ?? file.value
}
