import { CID } from 'multiformats/cid'
import { DAG_CBOR } from '../core/cid.ts'
import { escapeHtml, PAGE_END, pageStart } from './page.ts'

/** What a person looks at; the rest is behind the download. */
const MAX_SHOWN_CHARACTERS = 262_144

/** A page that shows the value of a DAG-JSON or DAG-CBOR block and offers its bytes. */
export function dagPage(cid: CID, value: unknown): string {
  const text = JSON.stringify(value, showable, 2) ?? 'null'
  const shown = text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}\n…` : text
  const native = cid.code === DAG_CBOR ? 'dag-cbor' : 'dag-json'
  const here = `/ipfs/${cid.toString()}`
  return `${pageStart(here)}<main>
<h1>${here}</h1>
<p>A ${native} block. <a href="?format=${native}" download>Download it</a>, or <a href="?format=car" download>all it links to</a>.</p>
<pre>${escapeHtml(shown)}</pre>
</main>
${PAGE_END}`
}

/** Links as DAG-JSON writes them; integers beyond doubles and bytes as text. */
function showable(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof CID) return { '/': value.toString() }
  if (value instanceof Uint8Array) return { '/': { bytes: Buffer.from(value).toString('base64') } }
  return value
}
