import { z } from 'zod'
import {
  deleteDenylist,
  denylistPart,
  getDenylist,
  listDenylists,
  MAX_DENYLIST_BYTES,
  putDenylist,
  type SavedDenylist,
} from '../catalog/denylists.ts'
import type { Database } from '../catalog/database.ts'
import { RULES, type Wakes } from '../catalog/wake.ts'
import { HoldfastError } from '../core/errors.ts'
import { bytes, EMPTY, textAnswer } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

const size = z.number().nonnegative()

const Shown = z
  .object({
    name: z.string(),
    status: z.literal([410, 451]).describe('Of its denials, where the list says nothing else'),
    hash: z.string().describe('SHA-256 of the text'),
    bytes: size,
    parts: size.describe('Pieces in which the text can be read'),
    rules: size,
    skipped: size.describe('Lines that are no rules, and do nothing'),
    updatedAt: z.string(),
  })
  .meta({ id: 'Denylist', description: 'What no gateway of the cluster serves (IPIP-383)' })

const Name = z.object({ name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'lower-case letters, digits and dashes') })

/** Denylists of the cluster, in the compact denylist format: every gateway goes by them within seconds. */
export function denylistRoutes({ db, wakes }: { db: Database; wakes: Wakes }): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/denylists',
        summary: 'Denylists, by name',
        access: 'nodes:admin',
        answers: { 200: z.object({ denylists: z.array(Shown) }) },
      },
      async () => ({ status: 200, body: { denylists: await listDenylists(db) } }),
    ),
    route(
      {
        method: 'GET',
        path: '/v1/denylists/{name}',
        summary: 'One denylist, without its text',
        access: 'nodes:admin',
        params: Name,
        answers: { 200: Shown },
      },
      async ({ params }) => ({ status: 200, body: await found(db, params.name) }),
    ),
    route(
      {
        method: 'GET',
        path: '/v1/denylists/{name}/parts/{part}',
        summary: "A piece of a denylist's text",
        access: 'nodes:admin',
        params: Name.extend({ part: z.coerce.number().int().min(0).max(MAX_DENYLIST_BYTES) }),
        answers: { 200: textAnswer('text/plain') },
      },
      async ({ params }) => {
        const { hash } = await found(db, params.name)
        const text = await denylistPart(db, hash, params.part)
        if (text === undefined) throw new HoldfastError('NOT_FOUND', `The denylist has no part ${params.part}.`)
        return { status: 200, body: text }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/denylists/{name}',
        summary: 'Save a denylist; all gateways go by it within seconds',
        access: 'nodes:admin',
        params: Name,
        query: z.object({ status: z.enum(['410', '451']).default('410') }),
        body: bytes('text/plain'),
        answers: { 200: Shown, 201: Shown },
      },
      async ({ params, query, body }) => {
        const status = query.status === '451' ? 451 : 410
        const { saved, created } = await putDenylist(db, {
          name: params.name,
          status,
          text: body.stream.iterator({ destroyOnReturn: false }),
        })
        wakes.announce(RULES)
        return { status: created ? 201 : 200, body: saved }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/denylists/{name}',
        summary: 'Delete a denylist; what it denied is served again within seconds',
        access: 'nodes:admin',
        params: Name,
        answers: { 204: EMPTY },
      },
      async ({ params }) => {
        if (!(await deleteDenylist(db, params.name))) notFound(params.name)
        wakes.announce(RULES)
        return { status: 204 }
      },
    ),
  ]
}

async function found(db: Database, name: string): Promise<SavedDenylist> {
  return (await getDenylist(db, name)) ?? notFound(name)
}

function notFound(name: string): never {
  throw new HoldfastError('NOT_FOUND', `There is no denylist named ${name}.`)
}
