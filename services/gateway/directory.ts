import type { CID } from 'multiformats/cid'
import { hasCode } from '../core/errors.ts'
import { unixfsNode, type FileNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { DAG_PB, RAW } from '../core/cid.ts'
import type { Answer } from './answer.ts'
import { answerFile } from './file.ts'
import { cacheControl, contentHeaders, redirectTo } from './headers.ts'
import { linksAt } from './listing-links.ts'
import { listing } from './listing.ts'
import { PAGE_POLICY, PAGE_VERSION } from './page.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'

const INDEX = 'index.html'

/**
 * A directory: the URL with a slash at its end, so that relative links stay inside; there its `index.html`, else a page
 * that lists it, sent as its shards are read.
 */
export async function answerDirectory(request: GatewayRequest, found: Found): Promise<Answer> {
  const { cid, place, blocks, signal } = found
  if (!request.path.trailingSlash) return redirectTo(301, `${request.urlPath}/${request.rawQuery}`)
  const index = await indexOf(found)
  if (index !== undefined) {
    return answerFile(request, { ...found, cid: index.cid }, index.node, { name: INDEX, tag: cid })
  }
  return {
    status: 200,
    headers: {
      ...contentHeaders(request, found, `"DirIndex-${PAGE_VERSION}_CID-${cid.toString()}"`),
      'cache-control': cacheControl(place.maxAgeMs, true),
      'content-type': 'text/html',
      'content-security-policy': PAGE_POLICY,
    },
    body: listing(cid, linksAt(request), blocks, { signal }),
  }
}

async function indexOf({ cid, blocks, paths, signal }: Found): Promise<{ cid: CID; node: FileNode } | undefined> {
  try {
    const index = (await paths.follow(cid, [INDEX], blocks, { signal })).cid
    if (index.code !== RAW && index.code !== DAG_PB) return undefined
    const node = unixfsNode(index, await readBlock(index, blocks, { signal }))
    return node.type === 'file' ? { cid: index, node } : undefined
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
