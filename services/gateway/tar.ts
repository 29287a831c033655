import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { DAG_PB, RAW } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { KIB } from '../core/units.ts'
import { listDirectory, type DirectoryEntry } from '../dag/list-directory.ts'
import { unixfsNode, type FileNode, type UnixfsNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { readFile } from '../dag/read-file.ts'
import { tooDeep } from '../dag/walk.ts'
import type { Answer } from './answer.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import { contentHeaders, presentation } from './headers.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'
import { TAR_END, tarHead, tarPadding } from './tar-format.ts'

/**
 * A file or folder as a TAR archive, whose one root is named by the content's CID.
 * https://specs.ipfs.tech/http-gateways/path-gateway/ (IPIP-288)
 * @throws NOT_ACCEPTABLE when the content is no UnixFS; PAYLOAD_TOO_LARGE for a file beyond the limit of one answer
 */
export async function answerTar(request: GatewayRequest, found: Found): Promise<Answer> {
  const { cid, blocks, signal, settings } = found
  const node = await nodeOf(cid, blocks, { signal })
  if (node.type === 'file' && node.size > settings.maxAnswerBytes) {
    throw new HoldfastError('PAYLOAD_TOO_LARGE', `An answer may have at most ${settings.maxAnswerBytes} bytes.`)
  }
  const archive = tarOf({ cid, node, name: cid.toString() }, blocks, { signal, readahead: settings.readAheadBlocks })
  return {
    status: 200,
    headers: {
      // Which of equal archives a gateway writes is not settled: only their content is.
      ...contentHeaders(request, found, `W/"${cid.toString()}.x-tar"`),
      ...presentation(request, MEDIA_TYPE_OF.tar, { kind: 'attachment', name: `${cid.toString()}.tar` }),
    },
    body: inPieces(archive),
  }
}

interface Named {
  cid: CID
  node: UnixfsNode
  /** Path in the archive. */
  name: string
}

type ReadOptions = Abortable & { readahead: number }

/** The archive, depth first; one folder of each level is open at a time. */
async function* tarOf(root: Named, blocks: BlockSource, options: ReadOptions): AsyncGenerator<Uint8Array> {
  const open: { name: string; entries: AsyncGenerator<DirectoryEntry> }[] = []
  for (let next: Named | undefined = root; next !== undefined; next = await nextIn(open, root.name, blocks, options)) {
    yield* entryOf(next, blocks, options)
    if (next.node.type !== 'directory' && next.node.type !== 'hamt') continue
    if (open.length >= MAX_PATH_SEGMENTS) throw tooDeep()
    open.push({ name: next.name, entries: listDirectory(next.cid, blocks, { ...options, everyName: true }) })
  }
  yield TAR_END
}

async function nextIn(
  open: { name: string; entries: AsyncGenerator<DirectoryEntry> }[],
  root: string,
  blocks: BlockSource,
  options: ReadOptions,
): Promise<Named | undefined> {
  for (let folder = open.at(-1); folder !== undefined; folder = open.at(-1)) {
    const { value, done } = await folder.entries.next()
    if (done !== true) {
      const name = nameIn(folder.name, value.name, root)
      return { cid: value.cid, node: await nodeOf(value.cid, blocks, options), name }
    }
    open.pop()
  }
  return undefined
}

/**
 * Where an entry goes. A name is followed as an archive's reader would, `..` too, but never out of the root.
 * @throws MALFORMED_BLOCK
 */
function nameIn(folder: string, name: string, root: string): string {
  const path = folder.split('/')
  for (const segment of name.split('/')) {
    if (segment === '..') path.pop()
    else if (segment !== '' && segment !== '.') path.push(segment)
  }
  if (path[0] === root && path.length > 1 && !name.startsWith('/') && !name.includes('\0')) return path.join('/')
  throw new HoldfastError(
    'MALFORMED_BLOCK',
    `The entry ${JSON.stringify(name.slice(0, 64))} does not lie in its folder.`,
  )
}

async function* entryOf(
  { cid, node, name }: Named,
  blocks: BlockSource,
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  if (node.type === 'file') {
    yield tarHead({ type: 'file', name, sizeBytes: node.size, ...attributes(node, 0o644) })
    if (node.children.length === 0) yield node.data
    else yield* readFile(cid, blocks, options)
    yield tarPadding(node.size)
    return
  }
  if (node.type === 'symlink') {
    const target = Buffer.from(node.target).toString('utf8')
    const linked = { type: 'symlink', name, sizeBytes: 0, target, ...attributes(node, 0o777) } as const
    if (staysBelow(target)) yield tarHead(linked)
    return
  }
  if (node.type === 'links') throw notUnixfs(cid)
  yield tarHead({ type: 'directory', name, sizeBytes: 0, ...attributes(node, 0o755) })
}

/**
 * Only symlinks that lead further down are kept: with others a reader that follows them could be led out of the folder
 * into which it unpacks, by a folder of the same name.
 */
function staysBelow(target: string): boolean {
  return target !== '' && !target.startsWith('/') && !target.split(/[/\\]/).includes('..') && !target.includes('\0')
}

function attributes({ mode, mtime }: Pick<FileNode, 'mode' | 'mtime'>, usual: number): { mode: number; mtime: number } {
  return { mode: (mode ?? usual) & 0o777, mtime: mtime?.seconds ?? 0 }
}

async function nodeOf(cid: CID, blocks: BlockSource, options: Abortable): Promise<UnixfsNode> {
  if (cid.code !== RAW && cid.code !== DAG_PB) throw notUnixfs(cid)
  return unixfsNode(cid, await readBlock(cid, blocks, options))
}

function notUnixfs(cid: CID): HoldfastError {
  return new HoldfastError('NOT_ACCEPTABLE', `${cid.toString()} is no UnixFS, which is all that a TAR can hold.`)
}

/** Bytes that are put together, so that an archive of many small files is not sent header by header. */
const PIECE_BYTES = 32 * KIB

async function* inPieces(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  for await (const part of parts) {
    waiting.push(part)
    bytes += part.length
    if (bytes < PIECE_BYTES) continue
    yield waiting.length === 1 ? part : Buffer.concat(waiting)
    waiting = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(waiting)
}
