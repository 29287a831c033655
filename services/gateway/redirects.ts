import type { CID } from 'multiformats/cid'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { unixfsNode, type FileNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { readFile } from '../dag/read-file.ts'
import type { Answer } from './answer.ts'
import { parseContentPath } from './content-path.ts'
import { answerFile } from './file.ts'
import { redirectTo } from './headers.ts'
import { matchRedirect, MAX_REDIRECTS_BYTES, parseRedirects, type RedirectRule } from './redirects-file.ts'
import type { GatewayRequest } from './request.ts'
import type { Found, Reading } from './respond.ts'

/**
 * What the site's `_redirects` file says of a path that is not there; undefined when it says nothing. Only for content
 * with an origin of its own: elsewhere one site could speak for another.
 * @throws INTERNAL_ERROR ({@link BadRedirects}) when the file cannot be used
 */
export async function answerByRedirects(
  request: GatewayRequest,
  reading: Reading,
  show: (found: Found) => Promise<Answer>,
): Promise<Answer | undefined> {
  const { segments, ofName } = reading.place
  const rules = await rulesOf(reading)
  const rule = rules === undefined ? undefined : matchRedirect(rules, segments.slice(ofName))
  if (rule === undefined) return undefined
  const { status, to } = rule
  if (status !== 200 && status < 400) return redirectTo(status as 301, withQuery(to, request.rawQuery))
  const target = await follow(reading, segmentsOf(to))
  if (status === 200) return await show(target)
  const { cid, blocks, signal } = target
  const node = unixfsNode(cid, await readBlock(cid, blocks, { signal }))
  if (node.type !== 'file') throw new BadRedirects(`the target of status ${status} is no file`)
  const answer = await answerFile({ ...request, range: undefined }, target, node)
  return { ...answer, status }
}

/** A site's `_redirects` file that cannot be used: its author's mistake, which the specification answers with 500. */
class BadRedirects extends HoldfastError {
  constructor(reason: string, cause?: unknown) {
    super('INTERNAL_ERROR', `could not parse _redirects: ${reason}`, { cause })
  }
}

async function rulesOf(reading: Reading): Promise<RedirectRule[] | undefined> {
  const file = await fileNamed('_redirects', reading)
  if (file === undefined) return undefined
  if (file.node.size > MAX_REDIRECTS_BYTES) {
    throw new BadRedirects(`redirects file size cannot exceed ${MAX_REDIRECTS_BYTES} bytes`)
  }
  const pieces = await Array.fromAsync(readFile(file.cid, reading.blocks, { signal: reading.signal }))
  try {
    return parseRedirects(Buffer.concat(pieces).toString('utf8'))
  } catch (cause) {
    throw new BadRedirects((cause as Error).message, cause)
  }
}

async function fileNamed(name: string, reading: Reading): Promise<{ cid: CID; node: FileNode } | undefined> {
  try {
    const { cid, blocks, signal } = await follow(reading, [name])
    const node = unixfsNode(cid, await readBlock(cid, blocks, { signal }))
    return node.type === 'file' ? { cid, node } : undefined
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'UNSUPPORTED_CODEC', 'NOT_IMPLEMENTED')) return undefined
    throw error
  }
}

/** Follows a path of the site. */
async function follow(reading: Reading, segments: readonly string[]): Promise<Found> {
  const { place, paths, blocks, signal } = reading
  const all = [...place.segments.slice(0, place.ofName), ...segments]
  const { cid, path, remainder } = await paths.follow(place.root, all, blocks, { signal })
  if (remainder.length > 0) throw new HoldfastError('NOT_FOUND', 'The path leads into a block.')
  return { ...reading, place: { ...place, segments: all }, cid, path }
}

/** Segments of a target's path. */
function segmentsOf(to: string): string[] {
  const [path = ''] = to.split(/[?#]/, 1)
  try {
    return parseContentPath(`/ipfs/bafkqaaa${path}`).segments
  } catch (cause) {
    throw new BadRedirects((cause as Error).message, cause)
  }
}

/** The target with the visitor's parameters, which win over those of the same name in the rule. */
function withQuery(to: string, rawQuery: string): string {
  if (rawQuery === '' || rawQuery === '?') return to
  const [, base = '', query = '', fragment = ''] = /^([^?#]*)(?:\?([^#]*))?(#.*)?$/s.exec(to) ?? []
  const own = new URLSearchParams(rawQuery)
  const kept = new URLSearchParams([...new URLSearchParams(query)].filter(([name]) => !own.has(name)))
  const merged = [kept.toString(), rawQuery.slice(1)].filter((part) => part !== '').join('&')
  return `${base}?${merged}${fragment}`
}
