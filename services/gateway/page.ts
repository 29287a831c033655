import { STATUS_CODES } from 'node:http'
import { ICON_LINK, PALETTE, pagePolicy, styleHash } from '../runtime/http/page-look.ts'

/** The pages that the gateway makes itself. They need no script and load nothing. */

const STYLE = `${PALETTE}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1.25rem; max-width: 64rem; color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
h1 { margin: 0 0 1.25rem; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere }
h1 a { font-weight: 400 }
h1 a:first-child { font-family: ui-monospace, monospace; font-size: .9em }
p { overflow-wrap: anywhere }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
a:focus-visible { outline: 2px solid; outline-offset: 2px; border-radius: 2px }
p a { text-decoration: underline }
table { width: 100%; border: 1px solid var(--line); border-spacing: 0; border-radius: .5rem; overflow: hidden }
th { padding: .45rem .9rem; background: var(--shade); color: var(--quiet); font-size: .8rem; font-weight: 500; text-align: start }
td { padding: .45rem .9rem; border-top: 1px solid var(--line); overflow-wrap: anywhere }
td:first-child a { display: block }
tr:hover td { background: var(--shade) }
td.size, .ipfs-hash { color: var(--quiet); font-size: .85rem; font-variant-numeric: tabular-nums; white-space: nowrap }
.size { text-align: end }
.ipfs-hash { font-family: ui-monospace, monospace }
pre { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--shade); font: .85rem/1.5 ui-monospace, monospace; overflow-x: auto }
.failure { max-width: 40rem; margin: 12vh auto 0 }
.failure h1 { margin: 0; font-size: 1.6rem }
.failure p { margin: .5rem 0; color: var(--quiet) }
@media (max-width: 40rem) { body { padding-block: 1.5rem } .hash { display: none } }
`

export const PAGE_POLICY = pagePolicy(STYLE)

/** Changes whenever the look of a page does, so that caches take the new one. */
export const PAGE_VERSION = styleHash(STYLE)
  .replaceAll(/[^a-zA-Z0-9]/g, '')
  .slice(0, 12)

/** A page up to its content. */
export function pageStart(title: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
${ICON_LINK}
<style>${STYLE}</style>
</head>
<body>
`
}

export const PAGE_END = '</body>\n</html>\n'

export function errorPage(status: number, details: string): string {
  const title = `${status} ${STATUS_CODES[status] ?? ''}`.trim()
  return `${pageStart(title)}<main class="failure">
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(details)}</p>
</main>
${PAGE_END}`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it may stand between tags and inside quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? character)
}
