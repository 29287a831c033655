import { readFileSync } from 'node:fs'
import { CID } from 'multiformats/cid'
import { classifyLines } from '../../services/cli/classify-lines.ts'
import { classifyTokenUri } from '../../services/core/token-uri/classify.ts'
import { percentile, type Row } from './rows.ts'

/** URIs of tokens classified, against multiformats that only turns the CID, and JSON that only reads and writes the line. */

/** Short rounds and many: some of them run without being interrupted by other work on the machine. */
const ROUNDS = 301
const URIS = 400
/** What one URI may cost. */
const BUDGET_MICROS = 30

const ROOT = 'QmeSjSinHpPnmXmspMjwiXyN6zS4E9zccariGR3jxcaWtq'

export async function benchTokenUris(): Promise<Row[]> {
  const table = JSON.parse(readFileSync(new URL('../fixtures/token-uris.json', import.meta.url), 'utf8')) as {
    uri: string | null
  }[]
  const mixed = Array.from({ length: URIS }, (_, index) => table[index % table.length]?.uri ?? '')
  const collection = Array.from({ length: URIS }, (_, index) => `ipfs://${ROOT}/${index}.json`)
  const lines = Buffer.from(collection.map((uri) => `${JSON.stringify({ uri })}\n`).join(''))
  const [ofMixed, ofCollection, ofCid, ofLines, ofJson] = (await microsOf([
    () => mixed.forEach((uri) => classifyTokenUri(uri)),
    () => collection.forEach((uri) => classifyTokenUri(uri)),
    () => collection.forEach((uri) => CID.parse(uri.slice(7, 53)).toV1().toString()),
    () => drain(classifyLines(chunksOf(lines), { lines: 0, wrong: 0 })),
    () => collection.forEach((uri) => JSON.stringify(JSON.parse(JSON.stringify({ uri })))),
  ])) as [number, number, number, number, number]
  return [
    underBudget('classify a URI, all forms of the table', ofMixed, '', undefined),
    underBudget('classify a URI, one collection', ofCollection, `multiformats ${micros(ofCid)}`, ofCollection / ofCid),
    underBudget(`uri classify, a line (${perSecond(ofLines)})`, ofLines, `JSON ${micros(ofJson)}`, ofLines / ofJson),
  ]
}

function underBudget(what: string, measured: number, against: string, ratio: number | undefined): Row {
  const isMet = measured <= BUDGET_MICROS
  return { what, measured: micros(measured), against, ratio, target: `at most ${micros(BUDGET_MICROS)}`, isMet }
}

function micros(value: number): string {
  return `${value.toFixed(1)} us`
}

function perSecond(microsEach: number): string {
  return `${Math.round(1_000 / microsEach)} k/s`
}

/** Microseconds that each call takes for one URI: in turn, and the fastest tenth counts, as other work only slows. */
async function microsOf(calls: readonly (() => unknown)[]): Promise<number[]> {
  const rounds = calls.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, call] of calls.entries()) {
      const start = performance.now()
      await call()
      rounds[index]?.push(((performance.now() - start) * 1_000) / URIS)
    }
  }
  return rounds.map((each) => percentile(each, 0.1))
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

async function drain(answers: AsyncIterable<string>): Promise<number> {
  let characters = 0
  for await (const answer of answers) characters += answer.length
  return characters
}
