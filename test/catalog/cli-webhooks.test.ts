import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXIT } from '../../services/cli/exit-codes.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { receive, runNotifier } from '../support/notifier.ts'
import { runCli, type Ran } from '../support/run-cli.ts'

function holdfast(api: TestApi, ...words: string[]): Promise<Ran> {
  return runCli(words, { environment: { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: api.token } })
}

async function says(api: TestApi, ...words: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await holdfast(api, ...words)
  assert.equal(exitCode, EXIT.ok, stderr)
  return stdout.trim()
}

test('a webhook is made, listed, tried out, looked into and removed', async () => {
  await using api = await openTestApi()
  await using receiver = await receive()
  await using stack = new AsyncDisposableStack()
  stack.use(runNotifier(api))
  assert.match(await says(api, 'webhook', 'add', receiver.url, '--types', 'name.ending,name.ended'), /^whsec_/)
  const id = await says(api, 'webhook', 'ls', '--quiet')
  assert.equal(
    await says(api, 'webhook', 'ls'),
    [id, receiver.url, 'name.ending name.ended', '0', ''].join('\t').trim(),
  )
  assert.equal(await says(api, 'webhook', 'test', id), 'delivered, answered 200')
  assert.match(await says(api, 'webhook', 'rotate', id, '--keep-old', '0s'), /^whsec_/)
  receiver.answer = (_request, response) => response.writeHead(401).end()
  const failed = await holdfast(api, 'webhook', 'test', id)
  assert.equal(failed.exitCode, EXIT.failure)
  assert.match(failed.stderr, /The server answered 401/)
  const rows = (await says(api, 'webhook', 'deliveries', id)).split('\n').map((line) => line.split('\t').slice(1))
  assert.deepEqual(rows, [
    ['webhook.test', id, 'failed', '1', '401', 'The server answered 401.'],
    ['webhook.test', id, 'delivered', '1', '200', ''].slice(0, rows[1]?.length),
  ])
  await says(api, 'webhook', 'rm', id)
  assert.equal((await holdfast(api, 'webhook', 'deliveries', id)).exitCode, EXIT.notFound)
  assert.equal((await holdfast(api, 'webhook', 'add', 'http://10.0.0.1/')).exitCode, EXIT.usage)
})
