import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_CID_BYTES } from '../core/limits.ts'
import { KIB } from '../core/units.ts'
import { answerBytes, readSmallBody } from './answer.ts'
import { send } from './send.ts'
import type { Serving } from './server.ts'
import {
  decodeCids,
  encodeBits,
  encodeEntries,
  MANIFEST_PAGE_ENTRIES,
  MAX_ANSWER_BYTES,
  MAX_BLOCKS_PER_CALL,
  MAX_ROOTS_PER_CALL,
  sectionLength,
  SMALL_ROOT_BLOCKS,
  SMALL_ROOT_BYTES,
} from './wire.ts'

const CHUNK_BYTES = 256 * KIB

/** `GET /manifest/{root}?from&to`: a page of entries; figures of the whole root in `x-blocks` and `x-bytes`. */
export async function serveManifest(
  _: IncomingMessage,
  response: ServerResponse,
  { store, url }: Serving,
): Promise<void> {
  const root = cidIn(url)
  const stored = store.root(root)
  if (stored === undefined) throw new HoldfastError('NOT_FOUND', `The root ${root.toString()} is not held here.`)
  const from = indexIn(url, 'from', 0)
  const to = Math.min(indexIn(url, 'to', from + MANIFEST_PAGE_ENTRIES), from + MANIFEST_PAGE_ENTRIES)
  const page = encodeEntries(store.manifest(root, from, to))
  answerBytes(response, page, { 'x-blocks': stored.blocks, 'x-bytes': stored.bytes })
}

/** `GET /block/{cid}`: the bytes of one block, for a reader elsewhere. */
export async function serveBlock(
  _: IncomingMessage,
  response: ServerResponse,
  { store, url, signal }: Serving,
): Promise<void> {
  const cid = cidIn(url)
  const bytes = await store.get(cid, { signal })
  if (bytes === undefined) throw new HoldfastError('NOT_FOUND', `Block ${cid.toString()} is not held here.`)
  answerBytes(response, bytes)
}

/** `POST /has`, a list of CIDs: one bit each. */
export async function serveHas(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const cids = await readCids(request, MAX_BLOCKS_PER_CALL, serving.signal)
  answerBytes(response, encodeBits(cids.map((cid) => serving.store.has(cid))))
}

/**
 * `POST /blocks?for=reader`, a list of CIDs: the sections of those that are held, in that order. Without `for=reader` it
 * counts as a copy and waits for the limits of those.
 */
export async function serveBlocks(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const { store, signal } = serving
  const held: CID[] = []
  let length = 0
  for (const cid of await readCids(request, MAX_BLOCKS_PER_CALL, signal)) {
    const bytes = store.sizeOf(cid)
    if (bytes === undefined) continue
    if (length > MAX_ANSWER_BYTES) break
    held.push(cid)
    length += sectionLength(cid, bytes)
  }
  const isRead = serving.url.searchParams.get('for') === 'reader'
  const limits = isRead ? { ...serving, bulk: serving.reads, bandwidth: undefined } : serving
  await sendSections(response, held, length, limits)
}

/**
 * `POST /roots`, a list of roots: one byte each, the number of its blocks, then the sections of all these blocks.
 * 0 says that the root is not held, not small, or has no room in this answer.
 */
export async function serveRoots(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const { store, signal } = serving
  const roots = await readCids(request, MAX_ROOTS_PER_CALL, signal)
  const counts = Buffer.alloc(roots.length)
  const cids: CID[] = []
  let length = 0
  for (const [index, root] of roots.entries()) {
    if (length > MAX_ANSWER_BYTES - SMALL_ROOT_BYTES * 2) break
    const blocks = smallManifest(store, root)
    counts[index] = blocks.length
    for (const { cid, length: bytes } of blocks) {
      cids.push(cid)
      length += sectionLength(cid, bytes)
    }
  }
  await sendSections(response, cids, length, serving, counts)
}

function smallManifest(store: BlockReader, root: CID): { cid: CID; length: number }[] {
  const stored = store.root(root)
  if (stored === undefined || stored.blocks > SMALL_ROOT_BLOCKS || stored.bytes > SMALL_ROOT_BYTES) return []
  return [...store.manifest(root)]
}

async function sendSections(
  response: ServerResponse,
  cids: readonly CID[],
  length: number,
  serving: Serving,
  before: Uint8Array = new Uint8Array(0),
): Promise<void> {
  using _ = await serving.bulk.enter(serving.signal)
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': before.length + length })
  if (before.length > 0) response.write(before)
  await send(response, serving.store.sections(cids, { signal: serving.signal, chunkBytes: CHUNK_BYTES }), serving)
}

async function readCids(request: IncomingMessage, max: number, signal: AbortSignal): Promise<CID[]> {
  return decodeCids(await readSmallBody(request, max * MAX_CID_BYTES, signal), max)
}

/** @throws INVALID_CID, HASH_NOT_ALLOWED, UNSUPPORTED_CODEC */
function cidIn(url: URL): CID {
  return parseCid(url.pathname.split('/')[2] ?? '')
}

function indexIn(url: URL, name: string, fallback: number): number {
  const text = url.searchParams.get(name)
  if (text === null) return fallback
  if (!/^\d{1,12}$/.test(text)) throw new HoldfastError('BAD_REQUEST', `${name} must be a count.`)
  return Number(text)
}
