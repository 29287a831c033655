import {
  saveContents,
  unreadVersions,
  type Asset,
  type ReadContent,
  type UnreadVersion,
} from '../../catalog/guards-content.ts'
import { RECONCILE } from '../../catalog/wake.ts'
import { CONTRACT_ITSELF } from '../../chain/follow/token-touches.ts'
import type { Abortable } from '../../core/block-source.ts'
import { parseCid } from '../../core/cid.ts'
import { parseCollectionId } from '../../core/collection-id.ts'
import { readMetadata } from '../../core/token-metadata/metadata.ts'
import { classifyTokenUri } from '../../core/token-uri/classify.ts'
import { inlineContent } from '../../core/token-uri/inline-content.ts'
import { HOUR_MS, SECOND_MS } from '../../core/units.ts'
import { CheckedSource } from '../checked-source.ts'
import { Contents, type Loss } from '../contents.ts'
import { severalAtOnce } from '../several-at-once.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { rootOf } from './read-uri.ts'

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

async function readOne(
  { id, collection, tokenId, uri, tries }: UnreadVersion,
  contents: Contents,
  options: Abortable,
): Promise<ReadContent> {
  const id1155 = parseCollectionId(collection).standard === 'erc1155' ? BigInt(tokenId) : undefined
  const token = id1155 === CONTRACT_ITSELF ? undefined : id1155
  const file = await fileOf(uri.toString('utf8'), token, contents, options)
  if (!(file instanceof Uint8Array)) return lost(id, file, tries)
  const metadata = readMetadata(file, token)
  if ('problem' in metadata) return done(id, { reason: metadata.problem })
  const assets = metadata.links.flatMap(({ role, names }): Asset[] => {
    const cid = rootOf(names)
    return cid === null ? [] : [{ cid, role, isFolder: names.path !== '' }]
  })
  const isCentralised = metadata.links.some(({ names }) => names.verdict === 'CENTRALISED')
  return done(id, { assets, isCentralised })
}

async function fileOf(
  uri: string,
  token: bigint | undefined,
  contents: Contents,
  options: Abortable,
): Promise<Uint8Array | Loss> {
  const names = classifyTokenUri(uri, token)
  if (names.cid === null) return inlineContent(uri)
  const where = { path: names.path, literal: names.literalPath }
  const target = await contents.locate(parseCid(names.cid), where, options)
  if (target.loss !== undefined) return target.loss
  const file = await contents.file(target.value, options)
  return file.loss ?? file.value
}

/** What is not there now may come; what the bytes themselves say stays so. */
function lost(id: string, { verdict, reason }: Loss, tries: number): ReadContent {
  const mayCome = reason === 'NOBODY_HAS_IT' || reason === 'SOURCES_FAILED' || reason === 'WRONG_BYTES'
  const isMissing = mayCome ? tries + 1 === TRIES : verdict === 'MISSING'
  const againMs = Math.min(HOUR_MS, FIRST_PAUSE_MS * 2 ** tries)
  return { ...done(id, { reason }), againMs: mayCome ? againMs : undefined, isMissing }
}

function done(id: string, found: Partial<ReadContent>): ReadContent {
  return { id, assets: [], isCentralised: false, reason: null, againMs: undefined, isMissing: false, ...found }
}
