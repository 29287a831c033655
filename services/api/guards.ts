import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { chainsNobodyReads } from '../catalog/chains.ts'
import {
  deleteGuard,
  getGuard,
  guardFigures,
  listGuards,
  putGuard,
  uriHistory,
  type GuardFigures,
  type SavedGuard,
  type SavedUri,
} from '../catalog/guards.ts'
import { getPolicy } from '../catalog/policies.ts'
import { GUARDS, RECONCILE, type Wakes } from '../catalog/wake.ts'
import { collectionText, parseCollectionId, type CollectionId } from '../core/collection-id.ts'
import { MOST_SHOWN, withoutSecrets } from '../core/collection-report/shown-uri.ts'
import { HoldfastError } from '../core/errors.ts'
import { DEFAULT_POLICY_NAME, PolicyName } from '../core/policy.ts'
import { parseTokenId } from '../core/token-uri/token-id.ts'
import { DAY_MS, GIB, MIB, parseDurationMs } from '../core/units.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { Problem } from './follows.ts'
import { refuseWithoutChain } from './not-configured.ts'
import { route, type ApiRoute } from './route.ts'

const MAX_PAGE = 1_000
const DEFAULT_KEEP = '90d'
const DEFAULT_LIMITS = { tokenBytes: 256 * MIB, collectionBytes: 256 * GIB, dayBytes: 64 * GIB }

const Bytes = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const Limits = z
  .strictObject({
    tokenBytes: Bytes.default(DEFAULT_LIMITS.tokenBytes).describe('What one token has to itself'),
    collectionBytes: Bytes.default(DEFAULT_LIMITS.collectionBytes).describe('All that is pinned for the collection'),
    dayBytes: Bytes.default(DEFAULT_LIMITS.dayBytes).describe('What is pinned within 24 hours'),
  })
  .describe('Beyond them nothing is pinned, and the account is told')

const NewGuard = z
  .strictObject({
    policy: PolicyName.default(DEFAULT_POLICY_NAME).describe('Of pins that are made from now on'),
    keepHistory: z
      .string()
      .refine((text) => text === 'forever' || parseDurationMs(text) !== undefined, 'a duration such as 90d, or forever')
      .default(DEFAULT_KEEP)
      .describe('How long what tokens led to before is kept, once what they lead to now is final'),
    limits: Limits.prefault({}),
  })
  .meta({ id: 'NewGuard' })

const Guard = z
  .object({
    collection: z.string(),
    policy: z.string(),
    keepHistory: z.string(),
    limits: z.object({ tokenBytes: z.number(), collectionBytes: z.number(), dayBytes: z.number() }),
    createdAt: z.string(),
    followedFrom: z.string().nullable().describe('Events above this block are seen; null: not yet'),
    readAt: z.string().nullable().describe('When all tokens were read the last time'),
    readBlock: z.string().nullable(),
    coverage: z.record(z.string(), z.unknown()).nullable().describe('How tokens were found, and what is missing'),
    limitedAt: z.string().nullable().describe('Since then a limit holds back pins'),
    waiting: z.string().nullable().describe('Why nothing is read or pinned now: nobody reads its chain'),
    problem: Problem.describe('Why the contract could not be read the last time; what is pinned stays'),
  })
  .meta({ id: 'Guard', description: 'A collection of which everything that its tokens lead to is pinned' })

const GuardWithFigures = Guard.extend({
  figures: z.object({
    tokens: z.number(),
    provisional: z.number().describe('Tokens whose URI was read at a block that is not final yet'),
    unread: z.number().describe('Tokens whose metadata is still to be read'),
    pins: z.record(z.string(), z.number()).describe('By status; `held back` by a limit'),
    bytes: z.number(),
  }),
}).meta({ id: 'GuardWithFigures' })

const Version = z
  .object({
    uri: z.string().nullable().describe('Without keys; null: the contract tells none'),
    others: z.array(z.string()).describe('Its further URIs (ERC-7160)'),
    block: z.object({ number: z.string(), hash: z.string() }).describe('At which it was first read'),
    state: z.enum(['provisional', 'final', 'reorganised']),
    seenAt: z.string(),
    supersededAt: z.string().nullable(),
    releasedAt: z.string().nullable().describe('Since then it is not kept any more'),
  })
  .meta({ id: 'GuardedVersion', description: 'What a token points to, or pointed to' })

const GuardPath = z.object({ caip19: z.string().max(300) })

export interface GuardRouteParts {
  db: Database
  wakes: Wakes
  /** Whether somebody follows a chain here. */
  readsChain: boolean
}

/** Collections of which everything that their tokens lead to is kept pinned. */
export function guardRoutes({ db, wakes, readsChain }: GuardRouteParts): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/guards',
        summary: 'Collections that are guarded, in the order of their text',
        access: 'pins:read',
        query: z.object({
          after: z.string().max(300).default('').describe('The last collection of the page before'),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
        }),
        answers: { 200: z.object({ guards: z.array(Guard) }) },
      },
      async ({ caller, query }) => {
        const guards = await listGuards(db, caller.tenantId, query)
        return { status: 200, body: { guards: await allShown(guards) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/guard',
        summary: 'How a collection is guarded, and how far its content is kept',
        access: 'pins:read',
        params: GuardPath,
        answers: { 200: GuardWithFigures },
      },
      async ({ caller, params }) => {
        const guard = await found(caller.tenantId, params)
        const figures: GuardFigures = await guardFigures(db, guard.id)
        return { status: 200, body: { ...(await oneShown(guard)), figures } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/guard/tokens/{token}',
        summary: 'What a token of a guarded collection points and pointed to, the newest first',
        access: 'pins:read',
        params: GuardPath.extend({ token: z.string().max(80) }),
        answers: { 200: z.object({ versions: z.array(Version) }) },
      },
      async ({ caller, params }) => {
        const guard = await found(caller.tenantId, params)
        const token = params.token === 'contract' ? -1n : parseTokenId(params.token)
        if (token === undefined) throw new HoldfastError('BAD_REQUEST', 'A token is named by its number.')
        const versions = await uriHistory(db, guard.id, String(token))
        return { status: 200, body: { versions: versions.map(shownVersion) } }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/collections/{caip19}/guard',
        summary: 'Guard a collection: what its tokens lead to is pinned, now and whenever it changes',
        access: 'collections:write',
        params: GuardPath,
        body: json(NewGuard),
        answers: { 200: Guard, 201: Guard },
      },
      async ({ caller, params, body }) => {
        refuseWithoutChain(readsChain, 'Collections cannot be guarded')
        const { tokenId, ...id } = parseCollectionId(params.caip19)
        if (tokenId !== undefined) throw new HoldfastError('BAD_REQUEST', 'Whole collections are guarded, not tokens.')
        const { policy, keepHistory, limits } = body
        if ((await getPolicy(db, caller.tenantId, policy)) === undefined) {
          throw new HoldfastError('BAD_REQUEST', `There is no policy named ${policy}.`)
        }
        const keepMs = parseDurationMs(keepHistory) ?? null
        const wanted = { ...named(id), policy, keepMs, limits }
        const { guard, created } = await putGuard(db, caller.tenantId, wanted)
        wakes.announce(GUARDS)
        return { status: created ? 201 : 200, body: await oneShown(guard) }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/collections/{caip19}/guard',
        summary: 'Guard a collection no more, and remove the pins that were made for it',
        access: 'collections:write',
        params: GuardPath,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deleteGuard(db, caller.tenantId, collectionOf(params)))) notGuarded()
        wakes.announce(RECONCILE)
        return { status: 204 }
      },
    ),
  ]

  async function allShown(guards: readonly SavedGuard[]): Promise<ShownGuard[]> {
    const unread = await chainsNobodyReads(db, [...new Set(guards.map(({ chainId }) => chainId))])
    return guards.map((guard) => shown(guard, unread))
  }

  async function oneShown(guard: SavedGuard): Promise<ShownGuard> {
    return shown(guard, await chainsNobodyReads(db, [guard.chainId]))
  }

  async function found(tenantId: number, params: { caip19: string }): Promise<SavedGuard> {
    return (await getGuard(db, tenantId, collectionOf(params))) ?? notGuarded()
  }
}

/** @throws BAD_REQUEST */
function collectionOf({ caip19 }: { caip19: string }): string {
  return collectionText(parseCollectionId(caip19))
}

function named(id: Omit<CollectionId, 'tokenId'>): Pick<SavedGuard, 'collection' | 'chainId' | 'address'> {
  return { collection: collectionText(id), chainId: `eip155:${id.chainId}`, address: id.address }
}

function notGuarded(): never {
  throw new HoldfastError('NOT_FOUND', 'This collection is not guarded.')
}

type ShownGuard = z.input<typeof Guard>

/** @param unread chains that nobody reads */
function shown(guard: SavedGuard, unread: ReadonlySet<string>): ShownGuard {
  const { collection, policy, keepMs, limits, createdAt, followedFrom, readAt, readNumber, coverage } = guard
  const { chainId, limitedAt, problem } = guard
  const waiting = unread.has(chainId)
    ? `Nobody reads the chain ${chainId}: set HOLDFAST_CHAIN_RPC on a control plane.`
    : null
  const keepHistory = keepMs === null ? 'forever' : durationText(keepMs)
  const read = { followedFrom, readAt, readBlock: readNumber, coverage }
  return { collection, policy, keepHistory, limits, createdAt, ...read, limitedAt, waiting, problem }
}

function durationText(ms: number): string {
  return ms % DAY_MS === 0 ? `${ms / DAY_MS}d` : `${Math.round(ms / 1_000)}s`
}

function shownVersion(version: SavedUri): z.input<typeof Version> {
  const { uri, extensions, fromNumber, fromHash, seenAt, isFinal, isOrphan, supersededAt, releasedAt } = version
  const said = JSON.parse(extensions ?? '{}') as { uris?: string[] }
  return {
    uri: uri === null ? null : withoutSecrets(uri.toString('utf8').slice(0, MOST_SHOWN)),
    others: (said.uris ?? []).map((other) => withoutSecrets(other.slice(0, MOST_SHOWN))),
    block: { number: fromNumber, hash: fromHash },
    state: isOrphan ? 'reorganised' : isFinal ? 'final' : 'provisional',
    seenAt,
    supersededAt,
    releasedAt,
  }
}
