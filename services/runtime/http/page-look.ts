import { createHash } from 'node:crypto'

/** What the pages share that servers make themselves. They need no script and load nothing. */

/** Colours by light and dark; each page's style begins with them. */
export const PALETTE = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#1b2129, #e4e8ec);
  --quiet: light-dark(#5b6570, #9aa5b0);
  --link: light-dark(#0b57a8, #7fb7f2);
  --line: light-dark(#dfe3e8, #2d343b);
  --shade: light-dark(#f5f7f9, #1c2126);
  background: light-dark(#fff, #14181c);
}`

const RING_ON_A_LINE =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="none" stroke="#2f7fd1" stroke-width="3"><path d="M8 8v8"/><circle cx="8" cy="5" r="3.5"/></g></svg>'

/** An icon that comes with the page: browsers ask the server for one otherwise. */
export const ICON_LINK = `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(RING_ON_A_LINE)}">`

/** The SHA-256 of a style as `Content-Security-Policy` writes it. */
export function styleHash(style: string): string {
  return createHash('sha256').update(style).digest('base64')
}

/** The `Content-Security-Policy` of a page with this style: nothing runs, loads, or frames it. */
export function pagePolicy(style: string): string {
  return `default-src 'none'; style-src 'sha256-${styleHash(style)}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
}
