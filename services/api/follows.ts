import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import {
  deleteFollow,
  getFollowWithVersions,
  listFollows,
  putFollow,
  type SavedFollow,
  type SavedVersion,
} from '../catalog/follows.ts'
import { getPolicy } from '../catalog/policies.ts'
import { RECONCILE, type Wakes } from '../catalog/wake.ts'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { PIN_STATUSES } from '../core/pin.ts'
import { DEFAULT_POLICY_NAME, PolicyName } from '../core/policy.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { nameText, parseName } from '../naming/name.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { refuseWithoutChain } from './not-configured.ts'
import { route, type ApiRoute } from './route.ts'
import type { DomainLinks } from './site-domain.ts'

const MAX_PAGE = 1_000
/** Each one that is kept is a whole copy of the content. */
const MAX_KEPT = 100
export const DEFAULT_KEPT = 5
export const DEFAULT_EVERY_MS = 5 * MINUTE_MS
/** A name costs a search in the network each time. */
const EVERY_SECONDS = { min: 10, max: 86_400 }

export const Keep = z
  .number()
  .int()
  .min(1)
  .max(MAX_KEPT)
  .describe(`Versions that stay pinned, the present one among them; ${DEFAULT_KEPT} when unset`)

const NewFollow = z
  .strictObject({
    policy: PolicyName.default(DEFAULT_POLICY_NAME).describe('Of the pins of versions that come from now on'),
    keep: Keep.default(DEFAULT_KEPT),
    everySeconds: z
      .number()
      .int()
      .min(EVERY_SECONDS.min)
      .max(EVERY_SECONDS.max)
      .default(DEFAULT_EVERY_MS / SECOND_MS)
      .describe('How often the name is looked at; one that is published here is noticed at once'),
  })
  .meta({ id: 'NewFollow' })

export const Problem = z.object({ code: z.string(), message: z.string() }).nullable()

/** A pin of a version, in few words. */
export const VersionPin = z.object({ requestid: z.string(), status: z.enum(PIN_STATUSES) }).nullable()

const Follow = z
  .object({
    name: z
      .string()
      .describe('An IPNS name, a domain with a DNSLink, or a name of ENS; with ens:// when that does not end in .eth'),
    policy: z.string(),
    keep: z.number(),
    everySeconds: z.number(),
    value: z.string().nullable().describe('The content path that the name was last seen to lead to'),
    checkedAt: z.string().nullable(),
    nextAt: z.string(),
    createdAt: z.string(),
    problem: Problem.describe('Why the name could not be followed the last time; what is pinned of it stays'),
  })
  .meta({ id: 'Follow', description: 'A name of which each version is pinned' })

const FollowWithVersions = Follow.extend({
  versions: z
    .array(
      z
        .object({ cid: z.string(), since: z.string(), pin: VersionPin.describe('Null: somebody removed it') })
        .meta({ id: 'FollowedVersion' }),
    )
    .describe('Those that are kept, the newest first'),
}).meta({ id: 'FollowWithVersions' })

const FollowPath = z.object({ name: z.string().max(512) })

/** Names whose versions are pinned as they come. */
export function followRoutes({ db, wakes, links }: { db: Database; wakes: Wakes; links: DomainLinks }): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/follows',
        summary: 'Names that are followed, in the order of their text',
        access: 'pins:read',
        query: z.object({
          after: z.string().max(512).default('').describe('The last name of the page before'),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
        }),
        answers: { 200: z.object({ follows: z.array(Follow) }) },
      },
      async ({ caller, query }) => {
        const follows = await listFollows(db, caller.tenantId, query)
        return { status: 200, body: { follows: follows.map(shown) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/follows/{name}',
        summary: 'One followed name, with the versions that are kept',
        access: 'pins:read',
        params: FollowPath,
        answers: { 200: FollowWithVersions },
      },
      async ({ caller, params }) => {
        const name = followedName(params.name)
        const { follow, versions } = (await getFollowWithVersions(db, caller.tenantId, name)) ?? notFollowed()
        return { status: 200, body: { ...shown(follow), versions: seen(versions) } }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/follows/{name}',
        summary: 'Follow a name: each of its versions is pinned before the one before is released',
        access: 'pins:write',
        params: FollowPath,
        body: json(NewFollow),
        answers: { 200: Follow, 201: Follow },
      },
      async ({ caller, params, body }) => {
        const { policy, keep, everySeconds } = body
        const name = followedName(params.name)
        refuseUnread(name, links)
        if ((await getPolicy(db, caller.tenantId, policy)) === undefined) {
          throw new HoldfastError('BAD_REQUEST', `There is no policy named ${policy}.`)
        }
        const wanted = { name, policy, keep, everyMs: everySeconds * SECOND_MS }
        const { follow, created } = await putFollow(db, caller.tenantId, wanted)
        return { status: created ? 201 : 200, body: shown(follow) }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/follows/{name}',
        summary: 'Follow a name no more, and remove the pins of its versions',
        access: 'pins:write',
        params: FollowPath,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deleteFollow(db, caller.tenantId, followedName(params.name)))) notFollowed()
        wakes.announce(RECONCILE)
        return { status: 204 }
      },
    ),
  ]
}

/** The canonical form of a name. @throws INVALID_NAME */
function followedName(text: string): string {
  return nameText(parseName(text.replace(/^(ipns:\/\/|\/ipns\/)/, '').replace(/^\/ens\//, 'ens://')))
}

/** @throws NOT_IMPLEMENTED for a name of ENS where no chain is read */
function refuseUnread(name: string, { lookUpEns }: DomainLinks): void {
  refuseWithoutChain(lookUpEns !== undefined || parseName(name).kind !== 'ens', 'Names of ENS cannot be followed')
}

function notFollowed(): never {
  throw new HoldfastError('NOT_FOUND', 'This name is not followed.')
}

function shown(follow: SavedFollow): z.input<typeof Follow> {
  const { name, policy, keep, everyMs, target, checkedAt, nextAt, createdAt, problem } = follow
  const everySeconds = everyMs / SECOND_MS
  return { name, policy, keep, everySeconds, value: target, checkedAt, nextAt, createdAt, problem }
}

function seen(versions: readonly SavedVersion[]): z.input<typeof FollowWithVersions>['versions'] {
  return versions.flatMap(({ cid, currentAt, ...version }) =>
    currentAt === null ? [] : [{ cid: cidKey(cid), since: currentAt, pin: versionPin(version) }],
  )
}

export function versionPin({ pinId, status }: Pick<SavedVersion, 'pinId' | 'status'>): z.input<typeof VersionPin> {
  return status === null ? null : { requestid: pinId, status }
}
