import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import type { PastRecord } from '../catalog/names.ts'
import type { SavedVersion } from '../catalog/follows.ts'
import type { SavedSite } from '../catalog/sites.ts'
import { cidKey } from '../core/cid.ts'
import { parseTarget } from '../naming/target.ts'
import { Keep, Problem, VersionPin, versionPin } from './follows.ts'
import type { SiteUrls } from './site-urls.ts'

export const Site = z
  .object({
    site: z.string().describe('What the account calls it; routes take it in place of the name'),
    name: z.string().describe('Its IPNS name'),
    url: z.string().nullable().describe('Where browsers find it; null while no gateway is up'),
    value: z.string().nullable().describe('The content path of the version that is live'),
    sequence: z.string().describe('Grows with each version that is published'),
    publishedAt: z.string().nullable(),
    policy: z.string(),
    keep: z.number(),
    problem: Problem,
  })
  .meta({ id: 'Site', description: 'A hosted name of which the versions stay pinned' })

export const SiteWithVersions = Site.extend({
  nodes: z
    .object({ reached: z.number(), of: z.number() })
    .describe('Nodes that have the live version on disk as a name'),
  versions: z
    .array(
      z
        .object({
          sequence: z.string(),
          value: z.string().nullable(),
          publishedAt: z.string(),
          url: z.string().nullable().describe('Where browsers find this version, whatever is live'),
          pin: VersionPin.describe('Null: it is not kept any more'),
        })
        .meta({ id: 'SiteVersion' }),
    )
    .describe('What was published, the newest first'),
}).meta({ id: 'SiteWithVersions' })

export const NewVersion = z
  .strictObject({
    pin: z
      .uuid()
      .describe('Request id of a pinned pin. It belongs to the site from then on, and goes with the version'),
    keep: Keep.optional().describe('Versions that stay pinned from now on; unchanged when unset, 5 for a new site'),
    sequence: z
      .string()
      .regex(/^(0|[1-9]\d{0,19})$/)
      .optional()
      .describe('Publish only while this is the sequence; then a site is not made'),
  })
  .meta({ id: 'NewVersion' })

export function siteView(site: SavedSite, urls: SiteUrls | undefined): z.input<typeof Site> {
  const { label, name, target, sequence, publishedAt, policy, keep, problem } = site
  const url = urls?.ofName(name) ?? null
  return { site: label ?? name, name, url, value: target, sequence, publishedAt, policy, keep, problem }
}

/** The history of a name with the pins of what is still kept. */
export function versionViews(
  records: readonly PastRecord[],
  kept: readonly SavedVersion[],
  urls: SiteUrls | undefined,
): z.input<typeof SiteWithVersions>['versions'] {
  const pins = new Map(kept.map((version) => [cidKey(version.cid), versionPin(version)]))
  return records.map(({ sequence, target, publishedAt }) => {
    const root = target === null ? undefined : rootIn(target)
    const [url, pin] = root === undefined ? [] : [urls?.ofContent(root), pins.get(cidKey(root))]
    return { sequence, value: target, publishedAt, url: url ?? null, pin: pin ?? null }
  })
}

/** Undefined for a path that leads on to another name. */
function rootIn(path: string): CID | undefined {
  const target = parseTarget(path)
  return target.namespace === 'ipfs' ? target.root : undefined
}
