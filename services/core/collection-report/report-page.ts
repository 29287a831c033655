import type { Finding, LinkFinding, Pointer } from './finding.ts'
import { bars, dividedBar, type Share } from './figures.ts'
import { escaped } from './html-text.ts'
import type { ReportHead, ReportRow } from './report.ts'
import { VERDICTS, type TokenVerdict } from './verdict.ts'

/** What of a report is shown on its page. */
export interface ReportPage extends ReportHead {
  tokens: number
  isComplete: boolean
  gaps: readonly string[]
  contractName: string
  mutability: string
  counts: {
    verdicts: Readonly<Record<string, number>>
    kinds: Readonly<Record<string, number>>
    copies: Readonly<Record<string, number>>
    hosts: Readonly<Record<string, number>>
  }
  /** Some tokens of each verdict, the worst verdict first. */
  examples: readonly ReportRow[]
}

/** Nothing is loaded, run, framed or sent by the page, whatever stands in it. */
export const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
/** As PAGE_POLICY, for the page in a file, where two of its rules mean nothing. */
const POLICY_IN_PAGE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

const STYLE = `:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin-top:2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:currentColor}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{white-space:nowrap}td:last-child{width:60%}
code{font:13px ui-monospace,monospace}ul{margin:0;padding-left:1.1rem}.v{white-space:nowrap;font-weight:600}
.good{fill:#2e9e5b;color:#2e9e5b}.fair{fill:#c98a1b;color:#b87a10}.bad{fill:#d64545;color:#d64545}.none{fill:#8a8f98;color:#767b84}`

/** A report as one page that needs nothing else. Everything that comes from a contract, or from what it leads to, is escaped. */
export function reportPage(page: ReportPage): string {
  const { collection, counts } = page
  const title = `Collection report: ${collection}`
  const verdicts = VERDICTS.filter((verdict) => (counts.verdicts[verdict] ?? 0) > 0)
  const shares = verdicts.map((name): Share => ({ name, count: counts.verdicts[name] ?? 0, className: classOf(name) }))
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY_IN_PAGE}">
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer"><title>${escaped(title)}</title><style>${STYLE}</style></head>
<body><h1>${escaped(page.contractName || collection)}</h1>
${facts(page)}
<h2>Verdicts</h2>${dividedBar(shares, 'Tokens by verdict')}${bars(shares, 'Tokens by verdict')}
${section('Verified copies of a token', numbered(counts.copies))}
${section('What the contract names', named(counts.kinds))}
${section('Servers that tokens depend on', named(counts.hosts))}
<h2>Tokens</h2><p>The worst first, some of each verdict. The JSON has all.</p>
<table><thead><tr><th>Token</th><th>Verdict</th><th>Evidence</th></tr></thead><tbody>${page.examples.map(row).join('')}</tbody></table>
</body></html>
`
}

function facts(page: ReportPage): string {
  const { collection, block, tokens, isComplete, gaps, mutability, sources, finishedAt } = page
  const count = isComplete ? String(tokens) : `at least ${tokens}`
  const pairs = [
    ['Collection', collection],
    ['Block', `${block.number} ${block.hash}`],
    ['Tokens', [count, ...gaps].join(' — ')],
    ['Who can change them', mutability],
    ['Asked for content', sources.join(', ') || 'nobody'],
    ['Looked at', finishedAt],
  ]
  return `<dl>${pairs.map(([name = '', value = '']) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`
}

function section(title: string, shares: readonly Share[]): string {
  return shares.length === 0 ? '' : `<h2>${escaped(title)}</h2>${bars(shares, title)}`
}

function named(counts: Readonly<Record<string, number>>): Share[] {
  return Object.entries(counts)
    .sort(([a, most], [b, least]) => least - most || (a < b ? -1 : 1))
    .slice(0, 20)
    .map(([name, count]) => ({ name, count, className: 'none' }))
}

function numbered(counts: Readonly<Record<string, number>>): Share[] {
  return Object.entries(counts)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([name, count]) => ({ name, count, className: name === '0' ? 'bad' : 'good' }))
}

function row({ pointer, finding }: ReportRow): string {
  const { id, uri, uriBytes } = JSON.parse(pointer) as Pointer
  const { verdict, reason, links } = JSON.parse(finding ?? 'null') as Finding
  const shown = uri ?? (uriBytes > 0 ? `${uriBytes} bytes` : '')
  const why = reason === null ? '' : ` ${reason}`
  return (
    `<tr><td><code>${escaped(id)}</code></td><td class="v ${classOf(verdict)}">${escaped(verdict + why)}</td>` +
    `<td><code>${escaped(shown.slice(0, MOST_URI))}</code><ul>${links.slice(0, MOST_LINKS).map(linkItem).join('')}</ul></td></tr>`
  )
}

/** Links of one token on the page, and characters of a URI. */
const MOST_LINKS = 6
const MOST_URI = 200

function linkItem({ role, verdict, reason, cid, path, corruptAt, pin }: LinkFinding): string {
  const place = cid === null ? '' : ` ${[cid, path].filter((part) => part !== '').join('/')}`
  const holders = pin === null ? '' : `; held by ${pin.holders.map(({ node }) => node).join(', ') || 'nobody'}`
  const corrupt = corruptAt.length === 0 ? '' : `; wrong bytes from ${corruptAt.join(', ')}`
  const text = `${role}: ${verdict}${reason === null ? '' : ` (${reason})`}${place.slice(0, MOST_URI)}${holders}${corrupt}`
  return `<li>${escaped(text)}</li>`
}

const GOOD: ReadonlySet<TokenVerdict> = new Set(['VERIFIED', 'ON_CHAIN', 'VERIFIED_GATEWAY_LINK'])
const FAIR: ReadonlySet<TokenVerdict> = new Set(['UNDER_REPLICATED', 'NOT_PINNED_HERE', 'OTHER_NETWORK', 'MUTABLE'])

function classOf(verdict: TokenVerdict): string {
  if (GOOD.has(verdict)) return 'good'
  if (FAIR.has(verdict)) return 'fair'
  return verdict === 'UNKNOWN' ? 'none' : 'bad'
}
