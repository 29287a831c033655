import { z } from 'zod'
import { HoldfastError } from '../core/errors.ts'
import { NamePage } from '../core/name-feed.ts'
import { Registered, Registration, SyncRequest, SyncResponse } from '../core/sync.ts'
import { MIB } from '../core/units.ts'
import type { Gatekeeper } from '../runtime/http/mount.ts'
import { declareRoute, json, textAnswer, type DeclareRoute, type Route } from '../runtime/http/route.ts'
import type { Sync } from './sync.ts'

/** A node, by the session text it sent. Whether the session is valid is for `sync` to say. */
export interface SessionBearer {
  session: string
}

/** A thousand roots of an inventory with a thousand reports. */
const MAX_SYNC_BYTES = 4 * MIB

/** A place in the feed of names. */
const Version = z.coerce.number().int().nonnegative()

const route = declareRoute as unknown as DeclareRoute<SessionBearer, 'node'>

/** Lets in whoever brings a session text. */
export const sessionGate: Gatekeeper<SessionBearer> = {
  async admit({ bearer }) {
    if (bearer === undefined)
      throw new HoldfastError('UNAUTHORIZED', 'Send the session: Authorization: Bearer <session>.')
    return { session: bearer }
  },
}

/** The storage nodes' way to the control plane; to be served with {@link sessionGate}. */
export function syncRoutes(sync: Sync): Route<SessionBearer>[] {
  return [
    route(
      {
        method: 'POST',
        path: '/cluster/challenge',
        summary: 'A text to sign at registration, good once',
        access: 'public',
        answers: { 200: z.strictObject({ challenge: z.string() }) },
      },
      async () => ({ status: 200, body: await sync.challenge() }),
    ),
    route(
      {
        method: 'POST',
        path: '/cluster/register',
        summary: 'Let a storage node in, or back in',
        access: 'public',
        body: json(Registration),
        answers: { 200: Registered },
      },
      async ({ body }) => ({ status: 200, body: await sync.register(body) }),
    ),
    route(
      {
        method: 'POST',
        path: '/cluster/sync',
        summary: 'Beat, reports and inventory out; work and directory in',
        access: 'node',
        body: json(SyncRequest, { maxBytes: MAX_SYNC_BYTES }),
        answers: { 200: SyncResponse },
      },
      async ({ body, caller, signal, stopping }) => ({
        status: 200,
        body: await sync.sync(caller.session, body, AbortSignal.any([signal, stopping])),
      }),
    ),
    route(
      {
        method: 'GET',
        path: '/cluster/rules/{hash}',
        summary: "A part of a document of the gateway's rules",
        access: 'node',
        params: z.object({ hash: z.hex().length(64) }),
        query: z.object({ part: z.coerce.number().int().nonnegative() }),
        answers: { 200: textAnswer('text/plain') },
      },
      async ({ params, query, caller }) => ({
        status: 200,
        body: await sync.rules(caller.session, params.hash, query.part),
      }),
    ),
    route(
      {
        method: 'GET',
        path: '/cluster/names',
        summary: 'Names to serve that came after a place in their feed',
        access: 'node',
        query: z.object({
          feed: z.uuid(),
          after: Version,
          keptFeed: z.uuid(),
          kept: Version,
        }),
        answers: { 200: NamePage },
      },
      async ({ query: { feed, after, keptFeed, kept }, caller }) => ({
        status: 200,
        body: await sync.names(caller.session, { feed, version: after }, { feed: keptFeed, version: kept }),
      }),
    ),
  ]
}
