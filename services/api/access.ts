import { z } from 'zod'
import { deleteAccessRule, getAccessRule, putAccessRule } from '../catalog/access-rules.ts'
import type { Database } from '../catalog/database.ts'
import type { Seal } from '../catalog/sealed-secret.ts'
import { createSigningKey, deleteSigningKey, listSigningKeys } from '../catalog/signing-keys.ts'
import { RULES, type Wakes } from '../catalog/wake.ts'
import { AccessRule } from '../core/access-rule.ts'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

const Access = z
  .object({ cid: z.string(), rule: AccessRule, updatedAt: z.string() })
  .meta({ id: 'Access', description: 'Who may read a root that the account has pinned' })

const SigningKey = z.object({ id: z.string(), createdAt: z.string() }).meta({ id: 'SigningKey' })
const MadeKey = z
  .object({ id: z.string(), key: z.string().describe('32 bytes, base64url. Shown now and never again') })
  .meta({ id: 'MadeSigningKey' })

const Cid = z.object({ cid: z.string().max(512) })

export interface AccessParts {
  db: Database
  wakes: Wakes
  /** Undefined: there are no signed URLs. */
  seal?: Seal | undefined
}

/** Who may read what the caller's account has pinned. */
export function accessRoutes({ db, wakes, seal }: AccessParts): ApiRoute[] {
  return [
    route(
      {
        method: 'PUT',
        path: '/v1/access/{cid}',
        summary: 'Restrict who may read a pinned root and all below it; gateways go by it within seconds',
        access: 'pins:write',
        params: Cid,
        body: json(AccessRule),
        answers: { 200: Access },
      },
      async ({ caller, params, body }) => {
        const saved = await putAccessRule(db, caller.tenantId, parseCid(params.cid), body)
        if (saved === undefined) throw new HoldfastError('NOT_FOUND', 'Your account has no pin of this CID.')
        wakes.announce(RULES)
        return { status: 200, body: saved }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/access/{cid}',
        summary: 'Who may read a root; 404 when it is for everybody',
        access: 'pins:read',
        params: Cid,
        answers: { 200: Access },
      },
      async ({ caller, params }) => {
        const saved = await getAccessRule(db, caller.tenantId, cidOf(params.cid))
        if (saved === undefined) throw unrestricted()
        return { status: 200, body: saved }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/access/{cid}',
        summary: 'Let everybody read a root again',
        access: 'pins:write',
        params: Cid,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deleteAccessRule(db, caller.tenantId, cidOf(params.cid)))) throw unrestricted()
        wakes.announce(RULES)
        return { status: 204 }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/signing-keys',
        summary: 'Make a key for signed URLs; two can be in use at once',
        access: 'tokens:admin',
        answers: { 201: MadeKey },
      },
      async ({ caller }) => {
        if (seal === undefined) {
          throw new HoldfastError('NOT_IMPLEMENTED', 'Signed URLs need HOLDFAST_SECRETS_KEY on the control plane.')
        }
        const made = await createSigningKey(db, caller.tenantId, seal)
        wakes.announce(RULES)
        return { status: 201, body: made }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/signing-keys',
        summary: 'Keys for signed URLs, without the keys themselves',
        access: 'tokens:admin',
        answers: { 200: z.object({ keys: z.array(SigningKey) }) },
      },
      async ({ caller }) => ({ status: 200, body: { keys: await listSigningKeys(db, caller.tenantId) } }),
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/signing-keys/{id}',
        summary: 'Delete a key; URLs that were signed with it are worthless within seconds',
        access: 'tokens:admin',
        params: z.object({ id: z.uuid() }),
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deleteSigningKey(db, caller.tenantId, params.id))) {
          throw new HoldfastError('NOT_FOUND', 'There is no such key.')
        }
        wakes.announce(RULES)
        return { status: 204 }
      },
    ),
  ]
}

/** What is no CID has no rule. */
function cidOf(text: string): ReturnType<typeof parseCid> {
  try {
    return parseCid(text)
  } catch (cause) {
    throw new HoldfastError('NOT_FOUND', 'There is no rule for it.', { cause })
  }
}

function unrestricted(): HoldfastError {
  return new HoldfastError('NOT_FOUND', 'There is no rule for it.')
}
