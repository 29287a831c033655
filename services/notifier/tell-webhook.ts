import type { Database } from '../catalog/database.ts'
import {
  dueDeliveries,
  noteAttempts,
  type AttemptOutcome,
  type DueDelivery,
  type TakenWebhook,
} from '../catalog/webhooks-work.ts'
import { webhookHeaders } from '../core/webhook-signature.ts'
import type { Log } from '../runtime/log.ts'
import { send, type SendOptions } from './send.ts'

/** Events that a webhook is told under one lease, and at once. */
const SLICE = 16
const AT_ONCE = 8
/** "The sender should disable the endpoint." */
const GONE = 410

export interface TellOptions {
  db: Database
  log: Log
  sending: SendOptions
  signal: AbortSignal
}

/** Tells a webhook what waits for it: one event while it fails, so that a server that comes back is not flooded. */
export async function tellWebhook(webhook: TakenWebhook, options: TellOptions): Promise<void> {
  const { db, log, signal } = options
  const { id, tenantId, failures } = webhook
  const due = await dueDeliveries(db, id, failures > 0 ? 1 : SLICE)
  const outcomes: AttemptOutcome[] = []
  const left = due.values()
  const lane = async (): Promise<void> => {
    for (const delivery of left) {
      if (signal.aborted) return
      const outcome = await attempt(delivery, webhook, options)
      if (outcome !== undefined) outcomes.push(outcome)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  const isGone = outcomes.some(({ httpStatus }) => httpStatus === GONE)
  const reason = await noteAttempts(
    db,
    webhook,
    outcomes,
    isGone ? 'The server said that it is gone (410).' : undefined,
  )
  log.debug({ webhook: id, tenantId, told: outcomes.length }, 'a webhook was told events')
  if (reason !== undefined) log.info({ webhook: id, tenantId, reason }, 'a webhook is disabled')
}

/** Undefined when the process stops meanwhile: then nobody knows. */
async function attempt(
  { eventId, event }: DueDelivery,
  { url, secrets, nowSeconds }: TakenWebhook,
  { sending, signal }: TellOptions,
): Promise<AttemptOutcome | undefined> {
  if (secrets.length === 0) {
    return { eventId, httpStatus: null, error: 'The secret cannot be opened with the present HOLDFAST_SECRETS_KEY.' }
  }
  const body = JSON.stringify(event)
  const headers = webhookHeaders(secrets, { id: event.id, timestampSeconds: nowSeconds, body })
  try {
    const httpStatus = await send(url, { body, headers, signal }, sending)
    const isWell = httpStatus >= 200 && httpStatus < 300
    return { eventId, httpStatus, error: isWell ? null : `The server answered ${httpStatus}.` }
  } catch (error) {
    if (signal.aborted) return undefined
    return { eventId, httpStatus: null, error: (error as Error).message.slice(0, MAX_ERROR_LENGTH) }
  }
}

const MAX_ERROR_LENGTH = 500
