import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { deletePolicy, getPolicy, listPolicies, putPolicy, type SavedPolicy } from '../catalog/policies.ts'
import { previewPolicy } from '../catalog/replicas-preview.ts'
import type { Wakes } from '../catalog/wake.ts'
import { HoldfastError } from '../core/errors.ts'
import { Policy, PolicyName } from '../core/policy.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'

const Saved = z
  .object({
    name: z.string(),
    version: z.number().int(),
    owner: z.enum(['tenant', 'system']).describe('One of the system is there for everybody, and nobody can change it'),
    spec: Policy,
    createdAt: z.string(),
  })
  .meta({ id: 'SavedPolicy', description: 'A policy that pins can name' })

const count = z.number().nonnegative()

const Preview = z
  .object({
    contents: count.describe('Roots of pins that name the policy'),
    sampled: count.describe('How many of them were looked at; the figures below are of these'),
    copiesAdded: count,
    bytesAdded: count,
    copiesReleased: count,
    bytesReleased: count,
    unsatisfied: count.describe('Roots for which the cluster cannot meet every rule'),
    problems: z.array(z.string()).describe('Some of the reasons'),
  })
  .meta({ id: 'PolicyPreview', description: 'What a policy would move, were it saved' })

const Name = z.object({ name: PolicyName })

/** Replication policies of the caller's account, and those of the system. */
export function policyRoutes({ db, wakes }: { db: Database; wakes: Wakes }): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/policies',
        summary: 'Policies that pins can name',
        access: 'pins:read',
        answers: { 200: z.object({ policies: z.array(Saved) }) },
      },
      async ({ caller }) => {
        const policies = await listPolicies(db, caller.tenantId)
        return { status: 200, body: { policies: policies.map(shown) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/policies/{name}',
        summary: 'One policy',
        access: 'pins:read',
        params: Name,
        answers: { 200: Saved },
      },
      async ({ caller, params }) => {
        const saved = (await getPolicy(db, caller.tenantId, params.name)) ?? notFound(params.name)
        return { status: 200, body: shown(saved) }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/policies/{name}',
        summary: 'Save a policy; pins that name it follow it from then on',
        access: 'policies:write',
        params: Name,
        body: json(Policy),
        answers: { 200: Saved, 201: Saved },
      },
      async ({ caller, params, body }) => {
        const { saved, created } = await putPolicy(db, caller.tenantId, params.name, body, wakes)
        return { status: created ? 201 : 200, body: shown(saved) }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/policies:preview',
        summary: 'What a policy would move, before it is saved',
        access: 'policies:write',
        body: json(z.strictObject({ name: PolicyName, policy: Policy })),
        answers: { 200: Preview },
      },
      async ({ caller, body }) => ({
        status: 200,
        body: await previewPolicy(db, { tenantId: caller.tenantId, ...body }),
      }),
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/policies/{name}',
        summary: 'Delete a policy that no pin uses',
        access: 'policies:write',
        params: Name,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deletePolicy(db, caller.tenantId, params.name))) notFound(params.name)
        return { status: 204 }
      },
    ),
  ]
}

function shown({ name, version, owner, policy, createdAt }: SavedPolicy): z.infer<typeof Saved> {
  return { name, version, owner, spec: policy, createdAt }
}

function notFound(name: string): never {
  throw new HoldfastError('NOT_FOUND', `There is no policy named ${name}.`)
}
