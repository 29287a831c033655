import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import type { Seal } from '../catalog/sealed-secret.ts'
import { EVENTS, WEBHOOKS, type Wakes } from '../catalog/wake.ts'
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listDeliveries,
  listWebhooks,
  replaceWebhook,
  rotateWebhookSecret,
  testWebhook,
  type SavedWebhook,
} from '../catalog/webhooks.ts'
import { HoldfastError } from '../core/errors.ts'
import { EVENT_TYPES } from '../core/events.ts'
import { webhookSecretText } from '../core/webhook-signature.ts'
import { DAY_MS, parseDurationMs } from '../core/units.ts'
import { webhookUrlProblem } from '../core/webhook-url.ts'
import { EMPTY, json } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'
import { storedText } from './stored-text.ts'

const MAX_PAGE = 1_000
const MAX_DELIVERIES = 100

const EventType = z.enum(EVENT_TYPES)

const WantedWebhook = z
  .strictObject({
    url: storedText({ min: 1, max: 2_048 }).describe('Where events are posted to: https, in the public internet'),
    types: z
      .array(EventType)
      .min(1)
      .max(EVENT_TYPES.length)
      .nullable()
      .default(null)
      .describe('The types of events that are told; all when unset'),
  })
  .meta({ id: 'WantedWebhook' })

const webhookShape = {
  id: z.string(),
  url: z.string(),
  types: z.array(z.string()).nullable().describe('null: all'),
  createdAt: z.string(),
  disabled: z
    .object({ at: z.string(), reason: z.string() })
    .nullable()
    .describe('Why nothing is told any more; PUT enables it again'),
  failingSince: z.string().nullable().describe('Since then every attempt has failed'),
  waiting: z.number().describe('Events that are still to be told'),
}

/** Receivers take a new secret over when somebody deploys them. */
const LONGEST_OVERLAP_MS = 30 * DAY_MS

const Rotation = z
  .strictObject({
    keepOld: z
      .string()
      .refine(
        (text) => (parseDurationMs(text) ?? Infinity) <= LONGEST_OVERLAP_MS,
        'a duration of at most 30d, such as 24h',
      )
      .default('24h')
      .describe('How long the secret before signs beside the new one; 0s when it has leaked'),
  })
  .meta({ id: 'SecretRotation' })

const Webhook = z.object(webhookShape).meta({ id: 'Webhook', description: 'A URL that is told what happens' })

const MadeWebhook = z
  .object({ ...webhookShape, secret: z.string().describe('whsec_ and base64; it is not shown again') })
  .meta({ id: 'MadeWebhook' })

const Deliveries = z.object({
  deliveries: z.array(
    z
      .object({
        event: z.object({ id: z.string(), type: z.string(), subject: z.string(), at: z.string() }),
        status: z.enum(['waiting', 'delivered', 'failed']),
        attempts: z.number(),
        triedAt: z.string().nullable(),
        nextAt: z.string().nullable().describe('When it is tried again at the earliest; null: not any more'),
        httpStatus: z.number().nullable().describe('Of the last answer; null: there was none'),
        error: z.string().nullable(),
      })
      .meta({ id: 'WebhookDelivery' }),
  ),
})

const WebhookPath = z.object({ id: z.uuid() })

export interface WebhookParts {
  db: Database
  wakes: Wakes
  /** Of the secrets; undefined: there are no webhooks. */
  seal?: Seal | undefined
  /** Whether URLs of this machine may be told. */
  allowsLoopbackWebhooks?: boolean
}

/** URLs that are told what happens to an account's things. */
export function webhookRoutes({ db, wakes, seal, allowsLoopbackWebhooks = false }: WebhookParts): ApiRoute[] {
  const refuseUrl = (url: string): void => {
    const problem = webhookUrlProblem(url, { allowsLoopback: allowsLoopbackWebhooks })
    if (problem !== undefined) throw new HoldfastError('BAD_REQUEST', `The URL cannot be told anything. ${problem}`)
  }
  const sealOf = (): Seal => {
    if (seal !== undefined) return seal
    throw new HoldfastError('NOT_IMPLEMENTED', 'Webhooks need HOLDFAST_SECRETS_KEY on the control plane.')
  }
  return [
    route(
      {
        method: 'POST',
        path: '/v1/webhooks',
        summary: 'Have events posted to a URL, signed by a secret that is shown once',
        access: 'webhooks:write',
        body: json(WantedWebhook),
        answers: { 201: MadeWebhook },
      },
      async ({ caller, body }) => {
        refuseUrl(body.url)
        const { webhook, secret } = await createWebhook(db, caller.tenantId, { ...body, seal: sealOf() })
        return { status: 201, body: { ...shown(webhook), secret: webhookSecretText(secret) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/webhooks',
        summary: 'Webhooks of the account, in the order in which they were made',
        access: 'events:read',
        query: z.object({
          after: z.uuid().optional().describe('The last id of the page before'),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
        }),
        answers: { 200: z.object({ webhooks: z.array(Webhook) }) },
      },
      async ({ caller, query: { after, limit } }) => {
        const webhooks = await listWebhooks(db, caller.tenantId, { after, limit })
        return { status: 200, body: { webhooks: webhooks.map(shown) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/webhooks/{id}',
        summary: 'One webhook',
        access: 'events:read',
        params: WebhookPath,
        answers: { 200: Webhook },
      },
      async ({ caller, params }) => {
        const webhook = (await getWebhook(db, caller.tenantId, params.id)) ?? noWebhook()
        return { status: 200, body: shown(webhook) }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/webhooks/{id}',
        summary: 'Change a webhook, and enable it again if it was disabled',
        access: 'webhooks:write',
        params: WebhookPath,
        body: json(WantedWebhook),
        answers: { 200: Webhook },
      },
      async ({ caller, params, body }) => {
        refuseUrl(body.url)
        const webhook = (await replaceWebhook(db, caller.tenantId, params.id, body)) ?? noWebhook()
        wakes.announce(WEBHOOKS)
        return { status: 200, body: shown(webhook) }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/webhooks/{id}',
        summary: 'Delete a webhook and what it was still to be told',
        access: 'webhooks:write',
        params: WebhookPath,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deleteWebhook(db, caller.tenantId, params.id))) noWebhook()
        return { status: 204 }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/webhooks/{id}:rotate',
        summary: 'Give a webhook a new secret, which is shown once; the one before signs beside it for a while',
        access: 'webhooks:write',
        params: WebhookPath,
        body: json(Rotation),
        answers: { 200: MadeWebhook },
      },
      async ({ caller, params, body }) => {
        const rotation = { keepOldMs: parseDurationMs(body.keepOld) ?? 0, seal: sealOf() }
        const { webhook, secret } = (await rotateWebhookSecret(db, caller.tenantId, params.id, rotation)) ?? noWebhook()
        return { status: 200, body: { ...shown(webhook), secret: webhookSecretText(secret) } }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/webhooks/{id}:test',
        summary: 'Have an event posted that says nothing; what came of it is among the deliveries',
        access: 'webhooks:write',
        params: WebhookPath,
        answers: { 202: z.object({}) },
      },
      async ({ caller, params }) => {
        if (!(await testWebhook(db, caller.tenantId, params.id))) noWebhook()
        wakes.announce(EVENTS)
        return { status: 202, body: {} }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/webhooks/{id}/deliveries',
        summary: 'What came of the last events that a webhook was told, the newest first',
        access: 'events:read',
        params: WebhookPath,
        query: z.object({ limit: z.coerce.number().int().min(1).max(MAX_DELIVERIES).default(MAX_DELIVERIES) }),
        answers: { 200: Deliveries },
      },
      async ({ caller, params, query }) => {
        if ((await getWebhook(db, caller.tenantId, params.id)) === undefined) noWebhook()
        return { status: 200, body: { deliveries: await listDeliveries(db, caller.tenantId, params.id, query.limit) } }
      },
    ),
  ]
}

function noWebhook(): never {
  throw new HoldfastError('NOT_FOUND', 'There is no such webhook.')
}

function shown({ disabledAt, disabledReason, ...webhook }: SavedWebhook): z.input<typeof Webhook> {
  const disabled = disabledAt === null ? null : { at: disabledAt, reason: disabledReason ?? '' }
  return { ...webhook, disabled }
}
