import { z } from 'zod'
import { readDirectory } from '../catalog/directory.ts'
import { getFollow, listVersions, putFollow, type SavedFollow } from '../catalog/follows.ts'
import { notePublished, reserveVersion } from '../catalog/follows-versions.ts'
import { getName, listRecords, type SavedName } from '../catalog/names.ts'
import { getPin, type PinRow } from '../catalog/pins.ts'
import { getSite, listSites, type SavedSite } from '../catalog/sites.ts'
import { EVENTS, NAMES, type Wakes } from '../catalog/wake.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { json } from '../runtime/http/route.ts'
import { DEFAULT_EVERY_MS, DEFAULT_KEPT } from './follows.ts'
import { addName, publishValue, type NameStore } from './names-publish.ts'
import { NewName } from './names-schema.ts'
import { nameKeyOf } from './names.ts'
import { route, type ApiRoute } from './route.ts'
import { checkDomain, SiteDomain, type DomainLinks } from './site-domain.ts'
import type { GatewayHost } from '../core/gateway-host.ts'
import { SiteUrls } from './site-urls.ts'
import { NewVersion, Site, siteView, SiteWithVersions, versionViews } from './sites-schema.ts'

const MAX_PAGE = 1_000

export interface SiteParts extends NameStore {
  wakes: Wakes
  links: DomainLinks
  /** The gateways' host table, as the nodes have it. */
  gatewayHosts: readonly GatewayHost[]
}

const SitePath = z.object({ site: z.string().max(512) })

/** Sites of the caller's account: hosted names whose versions stay pinned. A path takes the label of the name, or the name. */
export function siteRoutes({ wakes, links, gatewayHosts, ...store }: SiteParts): ApiRoute[] {
  const { db } = store

  async function urls(): Promise<SiteUrls | undefined> {
    const node = (await readDirectory(db)).nodes.find(({ liveness }) => liveness === 'up')
    return node && new SiteUrls(node.gateway, gatewayHosts)
  }

  async function found(tenantId: number, text: string): Promise<{ saved: SavedName; site: SavedSite }> {
    const saved = await getName(db, tenantId, nameKeyOf(text))
    const site = saved && (await getSite(db, tenantId, saved.name))
    if (saved === undefined || site === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such site.')
    return { saved, site }
  }

  async function whole(tenantId: number, text: string): Promise<z.input<typeof SiteWithVersions>> {
    const { saved, site } = await found(tenantId, text)
    const [at, records, kept] = await Promise.all([urls(), listRecords(db, saved), listVersions(db, site.id)])
    const nodes = { reached: saved.nodesReached, of: saved.nodes }
    return { ...siteView(site, at), nodes, versions: versionViews(records, kept, at) }
  }

  return [
    route(
      {
        method: 'GET',
        path: '/v1/sites',
        summary: 'Sites of the account, in the order of their names',
        access: 'names:read',
        query: z.object({
          after: z.string().max(512).default('').describe('The last name of the page before'),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
        }),
        answers: { 200: z.object({ sites: z.array(Site) }) },
      },
      async ({ caller, query }) => {
        const [at, sites] = await Promise.all([urls(), listSites(db, caller.tenantId, query)])
        return { status: 200, body: { sites: sites.map((site) => siteView(site, at)) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/sites/{site}',
        summary: 'One site, with what was published and what of it is kept',
        access: 'names:read',
        params: SitePath,
        answers: { 200: SiteWithVersions },
      },
      async ({ caller, params }) => ({ status: 200, body: await whole(caller.tenantId, params.site) }),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/sites/{site}/versions',
        summary: 'Publish what is pinned as the next version of a site, made when there is none; also to go back',
        access: 'names:write',
        params: SitePath,
        body: json(NewVersion),
        answers: { 201: SiteWithVersions },
      },
      async ({ caller, params, body }) => {
        const { tenantId } = caller
        const pin = await getPin(db, tenantId, body.pin)
        if (pin === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such pin.')
        if (pin.status !== 'pinned') {
          throw new HoldfastError('CONFLICT', `The pin is ${pin.status}; a version is published once it is pinned.`)
        }
        const saved = await nameOf(store, tenantId, params.site, body.sequence)
        const follow = await followOfSite(store, tenantId, { name: saved.name, pin, keep: body.keep })
        await reserveVersion(db, tenantId, follow.id, pin)
        const wanted = { value: `/ipfs/${pin.cid}` }
        await publishValue(store, tenantId, { saved, wanted, expected: body.sequence })
        await notePublished(db, tenantId, follow.id, pin)
        wakes.announce(NAMES)
        wakes.announce(EVENTS)
        return { status: 201, body: await whole(tenantId, saved.name) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/sites/{site}/domains/{domain}',
        summary: 'Whether a domain leads to the site by DNSLink, and which record makes it so',
        access: 'names:read',
        params: z.object({ site: z.string().max(512), domain: z.string().max(512) }),
        answers: { 200: SiteDomain },
      },
      async ({ caller, params, signal }) => {
        const { site } = await found(caller.tenantId, params.site)
        return { status: 200, body: await checkDomain(params.domain, site, links, signal) }
      },
    ),
  ]
}

/**
 * The hosted name of a site; made when the account has none of that label and nobody expects one.
 * @throws NOT_FOUND, BAD_REQUEST
 */
async function nameOf(
  store: NameStore,
  tenantId: number,
  text: string,
  expected: string | undefined,
): Promise<SavedName> {
  const key = nameKeyOf(text)
  const saved = await getName(store.db, tenantId, key)
  if (saved?.mode === 'hosted') return saved
  if (saved !== undefined)
    throw new HoldfastError('BAD_REQUEST', 'The key of this name is not here: sites are hosted names.')
  if (expected !== undefined || 'name' in key) throw new HoldfastError('NOT_FOUND', 'There is no such site.')
  const wanted = NewName.safeParse({ label: key.label })
  if (!wanted.success) {
    throw new HoldfastError('BAD_REQUEST', `This cannot be a site's name: ${wanted.error.issues[0]?.message ?? ''}.`)
  }
  // Whoever made it in between made the one that is wanted.
  await addName(store, tenantId, wanted.data).catch((error: unknown) => {
    if (!hasCode(error, 'CONFLICT')) throw error
  })
  return await nameOf(store, tenantId, text, '0')
}

/** The follow of a site: by the policy of its newest version, and with as many versions as was last asked for. */
async function followOfSite(
  { db }: NameStore,
  tenantId: number,
  { name, pin, keep }: { name: string; pin: PinRow; keep: number | undefined },
): Promise<SavedFollow> {
  const present = await getFollow(db, tenantId, name)
  const wanted = {
    name,
    policy: pin.policy,
    keep: keep ?? present?.keep ?? DEFAULT_KEPT,
    everyMs: present?.everyMs ?? DEFAULT_EVERY_MS,
  }
  const isSame = present !== undefined && present.keep === wanted.keep && present.policy === wanted.policy
  return isSame ? present : (await putFollow(db, tenantId, wanted)).follow
}
