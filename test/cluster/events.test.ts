import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { Stream } from '../support/event-stream.ts'
import { fewAtOnce } from '../support/few-at-once.ts'
import { isSigned, receive } from '../support/notifier.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { startSecondControl } from '../support/second-control.ts'
import { until } from '../support/until.ts'

const COUNT = 20

test('of two control planes one is killed: every pin is told by webhook and stream, and a stream goes on at the other', async () => {
  await using cluster = await Cluster.start({ HOLDFAST_SUSPECT_AFTER: '4s' })
  await using receiver = await receive()
  const masterKey = (await readFile(join(cluster.folder, 'master-key'), 'utf8')).trim()
  await using second = await startSecondControl(cluster, {
    HOLDFAST_MASTER_KEY: masterKey,
    HOLDFAST_WEBHOOK_LOOPBACK: 'true',
  })
  const streamOf = async (url: string, last?: string): Promise<Stream> =>
    new Stream(
      await fetch(`${url}/v1/events?types=pin.pinned`, {
        headers: {
          authorization: `Bearer ${cluster.ready.token}`,
          ...(last !== undefined && { 'Last-Event-ID': last }),
        },
      }),
    )
  const { secret } = await cluster.json<{ secret: string }>('/v1/webhooks', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ url: receiver.url, types: ['pin.pinned'] }),
  })
  const first = await streamOf(cluster.ready.api)
  await using whole = await streamOf(second.url)
  const upload = async (from: number): Promise<string[]> =>
    await fewAtOnce(COUNT, async (index) => (await cluster.upload(seededBytes(from + index, 10_000))).pin.requestid)
  const requests = await upload(0)
  await until('all of the first', () => first.events.length === COUNT)
  requests.push(...(await upload(1_000)))
  await cluster.kill('control')
  await first[Symbol.asyncDispose]()
  await using resumed = await streamOf(second.url, first.ids.at(-1))
  await cluster.join('control')
  const told = (): Set<string> => new Set(receiver.received.map(({ event }) => event.subject))
  await until(
    'that all are told',
    () => told().size === requests.length && whole.events.length >= requests.length,
    90_000,
  )
  assert.deepEqual([...told()].sort(), requests.toSorted())
  assert.ok(receiver.received.every((message) => isSigned(message, secret)))
  assert.equal(new Set(whole.ids).size, whole.ids.length)
  assert.deepEqual([...new Set(whole.events.map(({ subject }) => subject))].sort(), requests.toSorted())
  await until('the rest', () => resumed.ids.at(-1) === whole.ids.at(-1))
  assert.deepEqual(
    [...first.events, ...resumed.events].map(({ id }) => id),
    whole.events.map(({ id }) => id),
  )
})
