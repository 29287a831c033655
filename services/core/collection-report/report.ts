import { createHash } from 'node:crypto'
import { canonicalJson, type Json } from './canonical-json.ts'

/** Of the form of reports; grows when a reader would have to know. */
const REPORT_SCHEMA = 'holdfast-collection-report/1'
/** Of the reading of URIs: the same block gives the same pointers for as long as it stays. */
const PARSER_VERSION = 1

/** What a report says before its tokens. */
export interface ReportHead {
  id: string
  /** CAIP-19. */
  collection: string
  /** Decimal and hex. */
  block: { number: string; hash: string }
  /** What the chain says. */
  contract: Json
  coverage: Json
  /** Names of those who were asked for content. */
  sources: readonly string[]
  figures: Json
  createdAt: string
  finishedAt: string
}

/** A token of a report, in canonical JSON already. */
export interface ReportRow {
  pointer: string
  finding: string | null
}

/**
 * A report as one document in canonical JSON (RFC 8785): `findings`, `pointers`, the SHA-256 of the text of `pointers`, and
 * `schema`. The pointers are what the chain says at the block, the same text whoever looks and whenever.
 * @param rows the tokens, gone through twice
 */
export async function* reportJson(head: ReportHead, rows: () => AsyncIterable<ReportRow>): AsyncGenerator<string> {
  const { id, figures, sources, createdAt, finishedAt } = head
  yield `{"findings":${opened({ createdAt, figures, finishedAt, id, sources })}`
  yield* listed(rows(), ({ finding }) => finding ?? 'null')
  const hash = createHash('sha256')
  yield '},"pointers":'
  for await (const text of pointersOf(head, rows())) {
    hash.update(text)
    yield text
  }
  yield `,"pointersSha256":"${hash.digest('hex')}","schema":${canonicalJson(REPORT_SCHEMA)}}\n`
}

/** The same as lines: the head, then each token with its pointer and its finding. */
export async function* reportLines(head: ReportHead, rows: AsyncIterable<ReportRow>): AsyncGenerator<string> {
  const { sources, ...fields } = head
  yield `${canonicalJson({ ...fields, sources: [...sources], parserVersion: PARSER_VERSION, schema: REPORT_SCHEMA })}\n`
  for await (const { pointer, finding } of rows) yield `{"finding":${finding ?? 'null'},"pointer":${pointer}}\n`
}

async function* pointersOf(head: ReportHead, rows: AsyncIterable<ReportRow>): AsyncGenerator<string> {
  const { block, collection, contract, coverage } = head
  yield opened({ block, collection, contract, coverage, parserVersion: PARSER_VERSION })
  yield* listed(rows, ({ pointer }) => pointer)
  yield '}'
}

/** An object whose last key, in the order of keys, is the list `tokens` that follows. */
function opened(fields: { readonly [key: string]: Json }): string {
  return `${canonicalJson(fields).slice(0, -1)},"tokens":`
}

async function* listed(rows: AsyncIterable<ReportRow>, textOf: (row: ReportRow) => string): AsyncGenerator<string> {
  let lead = '['
  for await (const row of rows) {
    yield lead + textOf(row)
    lead = ','
  }
  yield lead === '[' ? '[]' : ']'
}
