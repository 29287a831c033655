import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { usageOf } from '../catalog/tenants.ts'
import { route, type ApiRoute } from './route.ts'

const Usage = z
  .object({
    pins: z.number().int().nonnegative(),
    bytes: z.number().nonnegative().describe('Of the distinct DAGs that are pinned, each counted once'),
    maxPins: z.number().nullable().describe('null: no limit'),
    maxPinBytes: z.number().nullable().describe('Of one DAG; null: no limit'),
  })
  .meta({ id: 'Usage' })

export function usageRoutes({ db }: { db: Database }): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/usage',
        summary: 'What the account uses and may use',
        access: 'pins:read',
        answers: { 200: Usage },
      },
      async ({ caller }) => {
        const { pins, bytes, maxPins, maxPinBytes } = await usageOf(db, caller.tenantId)
        return { status: 200, body: { pins, bytes, maxPins: maxPins ?? null, maxPinBytes: maxPinBytes ?? null } }
      },
    ),
  ]
}
