import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { formatSize } from '../core/units.ts'
import { listDirectory, type DirectoryEntry } from '../dag/list-directory.ts'
import { encodeContentPath } from './content-path.ts'
import { escapeHtml, PAGE_END, pageStart } from './page.ts'

/** Which directory is listed: what it is, and under which path it was asked for. */
export interface ListedDirectory {
  cid: CID
  root: CID
  segments: readonly string[]
}

/** HTML that waits in the process before it goes out. */
const PIECE_CHARACTERS = 32_768

/**
 * The page that lists a directory, piece by piece as its entries come. No entry's block is read: sizes are what the
 * directory claims. The markup that other gateways' tests look for (breadcrumbs, `ipfs-hash`) is kept.
 * @throws as {@link listDirectory}
 */
export async function* listing(
  directory: ListedDirectory,
  blocks: BlockSource,
  options: Abortable,
): AsyncGenerator<Uint8Array> {
  const { root, segments } = directory
  const here = encodeContentPath(root.toString(), segments)
  let html = pageHead(directory, here)
  for await (const entry of listDirectory(directory.cid, blocks, options)) {
    html += row(entry, here)
    if (html.length < PIECE_CHARACTERS) continue
    yield Buffer.from(html)
    html = ''
  }
  yield Buffer.from(`${html}</tbody>\n</table>\n</main>\n${PAGE_END}`)
}

function pageHead({ root, segments }: ListedDirectory, here: string): string {
  const title = `/ipfs/${[root.toString(), ...segments].join('/')}`
  const back = segments.length === 0 ? '' : `<tr><td colspan="3"><a href="${escapeHtml(here)}/..">..</a></td></tr>\n`
  return `${pageStart(`Index of ${title}`)}<main>
<h1>Index of ${breadcrumbs(root.toString(), segments)}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col" class="hash">CID</th></tr></thead>
<tbody>
${back}`
}

function breadcrumbs(root: string, segments: readonly string[]): string {
  const crumbs = [root, ...segments].map((name, depth) => {
    const path = encodeContentPath(root, segments.slice(0, depth))
    return `<a href="${escapeHtml(path)}">${escapeHtml(name)}</a>`
  })
  return `/ipfs/${crumbs.join('/')}`
}

function row({ name, cid, tsize }: DirectoryEntry, here: string): string {
  const text = cid.toString()
  const href = escapeHtml(`${here}/${encodeName(name)}`)
  return `<tr><td><a href="${href}">${escapeHtml(name)}</a></td><td class="size">${tsize === undefined ? '' : formatSize(tsize)}</td><td class="hash"><a class="ipfs-hash" translate="no" href="/ipfs/${text}?filename=${escapeHtml(twiceEncoded(name))}">${text.slice(0, 8)}…${text.slice(-6)}</a></td></tr>\n`
}

/** A name that came out of a block can hold half a surrogate pair, which no URL can. */
function encodeName(name: string): string {
  return encodeURIComponent(name.toWellFormed())
}

/** Kubo's pages encode this name twice, and the gateway conformance suite asks for it. */
function twiceEncoded(name: string): string {
  return encodeURIComponent(encodeName(name))
}
