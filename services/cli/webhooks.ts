import { setTimeout as delay } from 'node:timers/promises'
import type { ApiClient } from './client.ts'
import { durationFlag, none, only, textFlag, type Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { note, print, table } from './output.ts'
import { toSecond } from './pin-view.ts'

interface WebhookView {
  id: string
  url: string
  types: string[] | null
  disabled: { at: string; reason: string } | null
  failingSince: string | null
  waiting: number
}

interface DeliveryView {
  event: { id: string; type: string; subject: string; at: string }
  status: 'waiting' | 'delivered' | 'failed'
  attempts: number
  nextAt: string | null
  httpStatus: number | null
  error: string | null
}

/** How often it is looked at what came of a test. */
const LOOK_MS = 250

const add: Command = {
  name: 'webhook add',
  operands: '<url>',
  summary: 'Have events posted to a URL; the secret that signs them is shown once',
  options: { types: { type: 'string', help: 'types of events with commas between them (all)' } },
  async run({ operands, flags, output, signal, api }) {
    const url = only(operands, 'a URL')
    const types = textFlag(flags, 'types')
      ?.split(',')
      .map((type) => type.trim())
    const body = { url, ...(types !== undefined && { types }) }
    const made = await (await api()).post<WebhookView & { secret: string }>('/v1/webhooks', body, { signal })
    print(output, made, ({ secret }) => secret)
    note(output, `Its id is ${made.id}; the secret is not shown again. Try it: holdfast webhook test ${made.id}`)
  },
}

const ls: Command = {
  name: 'webhook ls',
  operands: '',
  summary: 'URLs that are told what happens',
  async run({ operands, output, signal, api }) {
    none(operands)
    const { webhooks } = await (await api()).get<{ webhooks: WebhookView[] }>('/v1/webhooks', { signal })
    const headings = ['ID', 'URL', 'TYPES', 'WAITING', '']
    print(output, webhooks, (all) =>
      output.quiet ? all.map(({ id }) => id).join('\n') : table(output, headings, all.map(webhookRow)),
    )
  },
}

function webhookRow({ id, url, types, waiting, disabled, failingSince }: WebhookView): string[] {
  const failing = failingSince === null ? '' : `failing since ${toSecond(failingSince)}`
  return [id, url, types?.join(' ') ?? 'all', String(waiting), disabled?.reason ?? failing]
}

const rm: Command = {
  name: 'webhook rm',
  operands: '<id>',
  summary: 'Delete a webhook and what it was still to be told',
  async run({ operands, output, signal, api }) {
    const id = only(operands, 'the id of a webhook')
    await (await api()).delete(pathOf(id), { signal })
    print(output, { id, removed: true }, () => (output.quiet ? '' : `removed ${id}`))
  },
}

const rotate: Command = {
  name: 'webhook rotate',
  operands: '<id>',
  summary: 'Give a webhook a new secret, which is shown once',
  options: {
    'keep-old': {
      type: 'string',
      default: '24h',
      help: 'how long the one before signs beside it; 0s when it has leaked',
    },
  },
  async run({ operands, flags, output, signal, api }) {
    const path = `${pathOf(only(operands, 'the id of a webhook'))}:rotate`
    const keepOld = textFlag(flags, 'keep-old')
    const made = await (await api()).post<WebhookView & { secret: string }>(path, { keepOld }, { signal })
    print(output, made, ({ secret }) => secret)
    note(output, `The secret is not shown again. Messages are signed by the one before, too, for ${keepOld}.`)
  },
}

const test: Command = {
  name: 'webhook test',
  operands: '<id>',
  summary: 'Post an event that says nothing, and tell what came of it',
  options: { timeout: { type: 'string', default: '30s', help: 'longest wait, such as 90s' } },
  async run({ operands, flags, output, signal, api }) {
    const id = only(operands, 'the id of a webhook')
    const client = await api()
    const before = (await tests(client, id, signal))[0]?.event.id
    await client.post(`${pathOf(id)}:test`, undefined, { signal })
    const deadline = performance.now() + durationFlag(flags, 'timeout')
    for (;;) {
      const [last] = await tests(client, id, signal)
      if (last !== undefined && last.event.id !== before && last.status !== 'waiting') {
        if (last.status === 'failed') throw new CommandError(EXIT.failure, last.error ?? 'It was not delivered.')
        print(output, last, ({ httpStatus }) => (output.quiet ? '' : `delivered, answered ${httpStatus}`))
        return
      }
      if (performance.now() > deadline) throw new CommandError(EXIT.timeout, 'The test is still on its way.')
      await delay(LOOK_MS, undefined, { signal })
    }
  },
}

async function tests(client: ApiClient, id: string, signal: AbortSignal): Promise<DeliveryView[]> {
  return (await deliveriesOf(client, id, signal)).filter(({ event }) => event.type === 'webhook.test')
}

const deliveries: Command = {
  name: 'webhook deliveries',
  operands: '<id>',
  summary: 'What came of the last events that a webhook was told, the newest first',
  async run({ operands, output, signal, api }) {
    const id = only(operands, 'the id of a webhook')
    const headings = ['EVENT', 'TYPE', 'SUBJECT', 'STATUS', 'ATTEMPTS', 'ANSWER', '']
    print(output, await deliveriesOf(await api(), id, signal), (all) =>
      output.quiet ? all.map(({ event }) => event.id).join('\n') : table(output, headings, all.map(deliveryRow)),
    )
  },
}

function deliveryRow({ event, status, attempts, httpStatus, error }: DeliveryView): string[] {
  return [event.id, event.type, event.subject, status, String(attempts), String(httpStatus ?? ''), error ?? '']
}

async function deliveriesOf(client: ApiClient, id: string, signal: AbortSignal): Promise<DeliveryView[]> {
  return (await client.get<{ deliveries: DeliveryView[] }>(`${pathOf(id)}/deliveries`, { signal })).deliveries
}

function pathOf(id: string): string {
  return `/v1/webhooks/${encodeURIComponent(id)}`
}

export const webhookCommands: readonly Command[] = [add, ls, rm, rotate, test, deliveries]
