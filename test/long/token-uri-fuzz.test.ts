import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { classifyTokenUri } from '../../services/core/token-uri/classify.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { assertSound } from '../support/token-uri.ts'

const TEXTS = 10_000_000
const LINES = 1_000_000
const PROGRAM = resolve(import.meta.dirname, '../../services/cli/main.ts')

const rows = JSON.parse(readFileSync(new URL('../fixtures/token-uris.json', import.meta.url), 'utf8')) as {
  uri: string | null
}[]
const uris = rows.map(({ uri }) => uri ?? '').filter((uri) => uri.length < 300)

test('ten million texts near to URIs are answered soundly', () => {
  const random = seededRandom(20_260_822)
  const below = (limit: number): number => Math.floor(random() * limit)
  const any = (): string => uris[below(uris.length)] ?? ''
  for (let done = 0; done < TEXTS; done++) {
    const [first, second] = [any(), any()]
    const strange = String.fromCharCode(below(random() < 0.7 ? 0x80 : 0x1_0000))
    const text = first.slice(0, below(first.length + 1)) + strange + second.slice(below(second.length + 1))
    assertSound(classifyTokenUri(text, random() < 0.3 ? BigInt(done) : undefined), text)
  }
})

test('the command answers a million lines in a heap of 32 MiB', async () => {
  const child = spawn(process.execPath, ['--max-old-space-size=32', PROGRAM, 'uri', 'classify'], {
    env: {},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  function* lines(): Generator<string> {
    for (let line = 0; line < LINES; line++)
      yield `${JSON.stringify({ uri: uris[line % uris.length], tokenId: line })}\n`
  }
  let answers = 0
  const counted = (async () => {
    for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('{"kind"')) answers++
  })()
  const closed = once(child, 'close')
  await pipeline(Readable.from(lines()), child.stdin)
  const [code] = await closed
  await counted
  assert.deepEqual([code, answers], [0, LINES])
})
