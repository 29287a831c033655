import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { classifyLines } from '../../services/cli/classify-lines.ts'

const PROGRAM = resolve(import.meta.dirname, '../../services/cli/main.ts')
const CID = 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4'

interface Answer {
  kind?: string
  cid?: string | null
  path?: string
  verdict?: string
  name?: string
  error?: { reason: string; details: string }
}

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (const size of sizes) {
    yield bytes.subarray(at, at + size)
    at += size
  }
  yield bytes.subarray(at)
}

async function answersTo(input: string | Buffer, sizes: readonly number[] = []): Promise<Answer[]> {
  const parts = await Array.fromAsync(classifyLines(cut(Buffer.from(input), sizes), { lines: 0, wrong: 0 }))
  const lines = parts.join('').split('\n')
  assert.equal(lines.pop(), '')
  return lines.map((line) => JSON.parse(line) as Answer)
}

test('each line is answered in its place with the fields of the interface and no others', async () => {
  const input = [
    { uri: `ipfs://${CID}/{id}.json`, tokenId: '255' },
    { uri: 'ipns://docs.ipfs.tech/a b' },
    { uri: 'https://example.com/1', tokenId: null, contract: '0x' },
    { uri: null },
    { uri: `data:application/json,{}` },
  ]
  assert.deepEqual(await answersTo(input.map((line) => JSON.stringify(line)).join('\r\n')), [
    { kind: 'ipfs', cid: CID, path: `${'ff'.padStart(64, '0')}.json`, verdict: 'IMMUTABLE' },
    { kind: 'dnslink', cid: null, path: 'a b', verdict: 'MUTABLE', name: 'docs.ipfs.tech' },
    { kind: 'http', cid: null, path: '', verdict: 'CENTRALISED' },
    { kind: 'empty', cid: null, path: '', verdict: 'EMPTY' },
    { kind: 'data', cid: null, path: '', verdict: 'ON_CHAIN' },
  ])
})

test('answers are the same however the input is cut into chunks', async () => {
  const input = Buffer.from(`\ufeff{"uri":"ipfs://${CID}/猫"}\n\n{"uri":""}\r\nrubbish\n{"uri":"ipns://é.eth"}`)
  const whole = await answersTo(input)
  assert.equal(whole.length, 4)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20)), async (sizes) => assert.deepEqual(await answersTo(input, sizes), whole)),
  )
})

test('a line that cannot be read is answered with an error that names it', async () => {
  const wrong = ['{', '[]', '"x"', 'null', '{}', '{"uri":1}', '{"uri":"a","tokenId":-1}', '{"uri":"a","tokenId":"1.5"}']
  wrong.push(
    '{"uri":"a","tokenId":9007199254740993}',
    `{"uri":"a","tokenId":"${2n ** 256n}"}`,
    '{"uri":"a","tokenId":""}',
  )
  const answers = await answersTo(wrong.join('\n'))
  assert.equal(answers.length, wrong.length)
  for (const [index, { error }] of answers.entries()) {
    assert.equal(error?.reason, 'BAD_REQUEST')
    assert.match(error.details, new RegExp(`^Line ${index + 1} `))
  }
  const [notUtf8] = await answersTo(Buffer.concat([Buffer.from('{"uri":"'), Buffer.of(0xff), Buffer.from('"}')]))
  assert.equal(notUtf8?.error?.reason, 'BAD_REQUEST')
})

test('a line that is too long is answered with an error, and those after it as usual', async () => {
  const long = `{"uri":"${'a'.repeat(9 * 1024 * 1024)}"}`
  const sizes = Array.from({ length: 100 }, () => 65_536)
  const answers = await answersTo(`${long}\n{"uri":""}\n${long}`, sizes)
  assert.deepEqual(
    answers.map(({ kind, error }) => kind ?? error?.reason),
    ['PAYLOAD_TOO_LARGE', 'empty', 'PAYLOAD_TOO_LARGE'],
  )
})

test('nothing more is read while answers wait to be taken', async () => {
  let read = 0
  const endless = Readable.from(
    (function* (): Generator<Buffer> {
      for (;;) {
        read++
        yield Buffer.from('{"uri":""}\n')
      }
    })(),
    { highWaterMark: 1 },
  )
  const answers = classifyLines(endless, { lines: 0, wrong: 0 })
  for (let taken = 1; taken <= 50; taken++) {
    await answers.next()
    assert.ok(read <= taken + 2, `${read} chunks read for ${taken} answers`)
  }
  await answers.return(undefined)
  assert.ok(endless.destroyed)
})

async function holdfast(
  input: string,
  words = ['uri', 'classify'],
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...words], { env: {}, stdio: 'pipe' })
  child.stdin.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number, out, err }
}

test('the command answers on standard output and ends with 0, whatever the verdicts are', async () => {
  const { code, out, err } = await holdfast(`{"uri":"ipfs://undefined"}\n{"uri":"${CID}"}`)
  assert.deepEqual([code, err], [0, ''])
  assert.deepEqual(
    out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Answer).verdict),
    ['INVALID', 'IMMUTABLE'],
  )
  assert.deepEqual(await holdfast(''), { code: 0, out: '', err: '' })
})

test('the command ends with 2 when a line could not be read, after all were answered', async () => {
  const { code, out, err } = await holdfast('{"uri":""}\n?\n{"uri":""}\n')
  assert.equal(code, 2)
  assert.equal(out.trimEnd().split('\n').length, 3)
  assert.match(err, /1 of 3 lines/)
  assert.equal((await holdfast('', ['uri', 'classify', 'x'])).code, 2)
})
