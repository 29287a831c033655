import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'

/** The pages that the gateway makes itself. They need no script and load nothing. */

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#e3e6ea, #2c3238); --quiet: light-dark(#5f6872, #98a2ad); --link: light-dark(#0b57a8, #7fb7f2) }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 64rem; font: 1rem/1.5 system-ui, sans-serif }
h1 { margin: 0 0 1.5rem; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere }
a { color: var(--link); text-decoration: none }
a:hover, a:focus-visible { text-decoration: underline }
table { width: 100%; border-collapse: collapse }
th { padding: .35rem .5rem; text-align: start; font-weight: 500; font-size: .8rem; color: var(--quiet) }
td { padding: .45rem .5rem; border-top: 1px solid var(--line); overflow-wrap: anywhere }
.size, .ipfs-hash { white-space: nowrap; color: var(--quiet); font-variant-numeric: tabular-nums }
.size { text-align: end }
.ipfs-hash { font: .8rem ui-monospace, monospace }
pre { overflow-x: auto; padding: 1rem; border: 1px solid var(--line); border-radius: .4rem; font: .85rem/1.5 ui-monospace, monospace }
@media (max-width: 40rem) { .hash { display: none } }
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** Changes whenever the look of a page does, so that caches take the new one. */
export const PAGE_VERSION = STYLE_HASH.replaceAll(/[^a-zA-Z0-9]/g, '').slice(0, 12)

/** A page up to its content. */
export function pageStart(title: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
`
}

export const PAGE_END = '</body>\n</html>\n'

export function errorPage(status: number, details: string): string {
  const title = `${status} ${STATUS_CODES[status] ?? ''}`.trim()
  return `${pageStart(title)}<h1>${escapeHtml(title)}</h1>\n<p>${escapeHtml(details)}</p>\n${PAGE_END}`
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
