import { z } from 'zod'
import type { Database } from '../../catalog/database.ts'
import { getPolicy } from '../../catalog/policies.ts'
import { getPin, type PinRow } from '../../catalog/pins.ts'
import { pinReplicas, placementInputOf, type ReplicaView } from '../../catalog/replicas-view.ts'
import type { Wakes } from '../../catalog/wake.ts'
import { PIN_STATUSES } from '../../core/pin.ts'
import { plan } from '../../core/placement.ts'
import { Policy } from '../../core/policy.ts'
import { MINUTE_MS, parseDurationMs } from '../../core/units.ts'
import { route, type ApiRoute } from '../route.ts'
import type { Delegates } from './delegates.ts'
import { explain, Explanation } from './explain.ts'
import { PinStatus } from './pin-schema.ts'
import { notFound, RequestId } from './pinning-service.ts'
import { pinView } from './pin-view.ts'
import { readUntil } from './status-wait.ts'

const MAX_WAIT_MS = MINUTE_MS

const Replica = z
  .object({
    node: z.string(),
    region: z.string(),
    state: z.enum(['allocated', 'stored', 'verified', 'failed', 'lost', 'releasing']),
    bytes: z.number().nullable().describe('Of the whole DAG; null until somebody measured it'),
    blocks: z.number().nullable(),
    doneBytes: z.number(),
    doneBlocks: z.number(),
    phase: z.string().nullable(),
    attempts: z.number().int(),
    verifiedAt: z.string().nullable(),
    errorCode: z.string().nullable(),
    error: z.string().nullable(),
    nextTryMs: z.number().nullable(),
  })
  .meta({ id: 'Replica', description: "One node's copy" })

const PinDetails = PinStatus.extend({
  policy: z.object({ name: z.string(), spec: Policy }),
  replicas: z.array(Replica),
  explain: Explanation,
}).meta({ id: 'PinDetails', description: 'A pin with its copies, and why it is where it is' })

const Wait = z.object({
  wait: z
    .enum(PIN_STATUSES)
    .optional()
    .describe('Answer when the pin has this status, or has failed, or the timeout is over'),
  timeout: z
    .string()
    .transform((text, context) => {
      const ms = parseDurationMs(text)
      if (ms !== undefined && ms <= MAX_WAIT_MS) return ms
      context.addIssue({ code: 'custom', message: 'it must be a duration of at most 60s' })
      return z.NEVER
    })
    .default(MAX_WAIT_MS / 2)
    .describe('Such as 20s; at most 60s'),
})

export interface DetailsParts {
  db: Database
  wakes: Wakes
  delegates: Delegates
}

/** `GET /v1/pins/{requestid}`: everything that tells why a pin is where it is. */
export function detailsRoute({ db, wakes, delegates }: DetailsParts): ApiRoute {
  return route(
    {
      method: 'GET',
      path: '/v1/pins/{requestid}',
      summary: 'A pin with its policy and copies; can wait for a status',
      access: 'pins:read',
      params: RequestId,
      query: Wait,
      answers: { 200: PinDetails },
    },
    async ({ caller, params, query, signal, stopping }) => {
      const { tenantId } = caller
      const read = async (): Promise<PinRow> => (await getPin(db, tenantId, params.requestid)) ?? notFound()
      const isDone = ({ status }: PinRow): boolean => status === query.wait || status === 'failed'
      const waiting = { wakes, tenantId, timeoutMs: query.timeout, signal: AbortSignal.any([signal, stopping]) }
      const pin = query.wait === undefined ? await read() : await readUntil(read, isDone, waiting)
      return { status: 200, body: await detailsOf(db, tenantId, pin, await delegates()) }
    },
  )
}

async function detailsOf(
  db: Database,
  tenantId: number,
  pin: PinRow,
  delegates: string[],
): Promise<z.input<typeof PinDetails>> {
  const [saved, replicas, placement] = await Promise.all([
    getPolicy(db, tenantId, pin.policy),
    pinReplicas(db, pin.contentId),
    placementInputOf(db, pin.contentId),
  ])
  if (saved === undefined) throw new Error(`policy ${pin.policy} of a pin is gone`)
  const problems = placement === undefined ? [] : plan(placement).problems
  return {
    ...pinView(pin, delegates),
    policy: { name: pin.policy, spec: saved.policy },
    replicas: replicas.map(replicaOf),
    explain: explain(pin, replicas, problems),
  }
}

function replicaOf({ isLeased: _isLeased, ...replica }: ReplicaView): z.input<typeof Replica> {
  return replica
}
