import { setTimeout as delay } from 'node:timers/promises'
import { SECOND_MS } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import { note, print, table, type Output } from './output.ts'

/** A site, as the API answers it. */
export interface SiteView {
  site: string
  name: string
  url: string | null
  value: string | null
  sequence: string
  publishedAt: string | null
  policy: string
  keep: number
  problem: { code: string; message: string } | null
}

export interface VersionView {
  sequence: string
  value: string | null
  publishedAt: string
  /** Of this version, whatever is live. */
  url: string | null
  /** Null: it is not kept any more. */
  pin: { requestid: string; status: string } | null
}

export interface SiteWithVersions extends SiteView {
  /** Nodes that have the live version on disk as a name. */
  nodes: { reached: number; of: number }
  versions: VersionView[]
}

/** A name reaches every node that is up within a second; one that is not up gets it when it comes back. */
const REACH_MS = 10 * SECOND_MS
const LOOK_MS = 0.25 * SECOND_MS

export function sitePath(site: string): string {
  return `/v1/sites/${encodeURIComponent(site)}`
}

/** Publishes what is pinned, and waits for a while until every node has it. */
export async function publishVersion(
  client: ApiClient,
  site: string,
  body: { pin: string; keep?: number; sequence?: string },
  signal: AbortSignal,
): Promise<SiteWithVersions> {
  const deadline = performance.now() + REACH_MS
  let seen = await client.post<SiteWithVersions>(`${sitePath(site)}/versions`, body, { signal })
  while (seen.nodes.reached < seen.nodes.of && performance.now() < deadline) {
    await delay(LOOK_MS, undefined, { signal })
    seen = await client.get<SiteWithVersions>(sitePath(site), { signal })
  }
  return seen
}

/** Where the version that is live now can be seen. With `--json` also what the caller has to tell of it. */
export function showLive(
  output: Output,
  { versions, ...site }: SiteWithVersions,
  more: { cid: string } & Record<string, unknown>,
): void {
  const previewUrl = versions.find(({ sequence }) => sequence === site.sequence)?.url ?? null
  const rows = [
    ['cid', more.cid],
    ['preview', previewUrl ?? ''],
    ['live', site.url ?? `ipns://${site.name}`],
  ]
  print(output, { ...site, previewUrl, ...more }, () =>
    output.quiet
      ? more.cid
      : table(
          output,
          ['', site.site],
          rows.filter(([, value]) => value !== ''),
        ),
  )
  const { reached, of } = site.nodes
  note(output, `${site.site} is at the sequence ${site.sequence}, on ${reached} of ${of} nodes.`)
}
