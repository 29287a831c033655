import { createHmac } from 'node:crypto'

/** Webhooks are signed as https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md says. */

const SECRET_PREFIX = 'whsec_'

/** The text in which a secret is shown to its owner. */
export function webhookSecretText(secret: Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(secret).toString('base64')
}

/** What one message is signed by: its id, its time in seconds since 1970, and its body as it is sent. */
export interface WebhookMessage {
  id: string
  timestampSeconds: number
  body: string
}

/**
 * The headers by which a receiver knows that a message is ours, and that it has not seen it before.
 * @param secrets a receiver has one of them
 */
export function webhookHeaders(
  secrets: readonly Uint8Array[],
  { id, timestampSeconds, body }: WebhookMessage,
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const signed = `${id}.${timestampSeconds}.${body}`
  const signatures = secrets.map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
  }
}
