import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { formatSize } from '../core/units.ts'
import { listDirectory, type DirectoryEntry } from '../dag/list-directory.ts'
import { encodeSegments } from './content-path.ts'
import type { Links } from './listing-links.ts'
import { escapeHtml, PAGE_END, pageStart } from './page.ts'

/** HTML that waits in the process before it goes out. */
const PIECE_CHARACTERS = 32_768

/**
 * The page that lists a directory, piece by piece as its entries come. No entry's block is read: sizes are what the
 * directory claims. The markup that other gateways' tests look for (breadcrumbs, `ipfs-hash`) is kept.
 * @throws as {@link listDirectory}
 */
export async function* listing(
  cid: CID,
  links: Links,
  blocks: BlockSource,
  options: Abortable,
): AsyncGenerator<Uint8Array> {
  let html = pageHead(links)
  for await (const entry of listDirectory(cid, blocks, options)) {
    html += row(entry, links)
    if (html.length < PIECE_CHARACTERS) continue
    yield Buffer.from(html)
    html = ''
  }
  yield Buffer.from(`${html}</tbody>\n</table>\n</main>\n${PAGE_END}`)
}

function pageHead({ title, here, crumbs, isRoot }: Links): string {
  const back = isRoot ? '' : `<tr><td colspan="3"><a href="${escapeHtml(here)}/..">..</a></td></tr>\n`
  const trail = crumbs.map(({ name, href }) => `<a href="${escapeHtml(href)}">${escapeHtml(name)}</a>`)
  return `${pageStart(`Index of ${title}`)}<main>
<h1>Index of /${title.split('/')[1] ?? ''}/${trail.join('/')}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col" class="hash">CID</th></tr></thead>
<tbody>
${back}`
}

function row({ name, cid, tsize }: DirectoryEntry, { here, entryLink }: Links): string {
  const text = cid.toString()
  const href = escapeHtml(here + encodeSegments([name]))
  return `<tr><td><a href="${href}">${escapeHtml(name)}</a></td><td class="size">${tsize === undefined ? '' : formatSize(tsize)}</td><td class="hash"><a class="ipfs-hash" translate="no" ${entryLink(text, name)}>${text.slice(0, 8)}…${text.slice(-6)}</a></td></tr>\n`
}
