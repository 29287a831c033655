import { isUtf8 } from 'node:buffer'
import { HoldfastError } from '../core/errors.ts'
import { classifyTokenUri } from '../core/token-uri/classify.ts'
import { parseTokenId } from '../core/token-uri/token-id.ts'
import { formatSize, KIB, MIB } from '../core/units.ts'
import { splitLines, type Line } from './lines.ts'

/** The longest content that is read inside a URI takes 6 MiB when all of it is escaped. */
const MAX_LINE_BYTES = 8 * MIB
/** Answers that are written at once. */
const BATCH_CHARACTERS = 64 * KIB

/** How many lines were not blank, and how many of them were answered with an error. */
export interface LineCount {
  lines: number
  wrong: number
}

/**
 * Answers lines of NDJSON (`{ "uri", "tokenId"? }`), each with a line in its place; a line that cannot be read with
 * `{ "error": { reason, details } }`. Blank lines are skipped. What has come is answered before more is read.
 * @param count is kept up to date
 */
export async function* classifyLines(chunks: AsyncIterable<Buffer>, count: LineCount): AsyncGenerator<string> {
  let number = 0
  for await (const lines of splitLines(chunks, MAX_LINE_BYTES)) {
    let batch = ''
    for (const line of lines) {
      batch += answerTo(line, ++number, count)
      if (batch.length < BATCH_CHARACTERS) continue
      yield batch
      batch = ''
    }
    if (batch !== '') yield batch
  }
}

function answerTo(line: Line, number: number, count: LineCount): string {
  // JSON has no byte order mark, but files from Windows begin with one: it is trimmed too.
  const text = line === 'too long' ? line : line.toString().trim()
  if (text === '') return ''
  count.lines++
  try {
    if (line === 'too long') throw new HoldfastError('PAYLOAD_TOO_LARGE', `is over ${formatSize(MAX_LINE_BYTES)}.`)
    if (!isUtf8(line)) throw wrong('is not UTF-8.')
    return `${JSON.stringify(classified(text))}\n`
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    count.wrong++
    return `${JSON.stringify({ error: { reason: error.code, details: `Line ${number} ${error.message}` } })}\n`
  }
}

function classified(text: string): object {
  const value = parse(text)
  if (typeof value !== 'object' || value === null || !('uri' in value)) throw wrong('has no "uri".')
  if (typeof value.uri !== 'string' && value.uri !== null) throw wrong('has a "uri" that is neither text nor null.')
  const tokenId = 'tokenId' in value ? tokenIdOf(value.tokenId) : undefined
  const { kind, cid, path, verdict, name } = classifyTokenUri(value.uri, tokenId)
  return { kind, cid, path, verdict, name }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrong('is not JSON.')
  }
}

/** JSON's numbers are exact up to 2^53 only: from there on an id must be text. */
function tokenIdOf(value: unknown): bigint | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  const id = typeof value === 'string' ? parseTokenId(value) : undefined
  if (id === undefined) throw wrong('has a "tokenId" that is no uint256 as text, decimal or 0x….')
  return id
}

function wrong(what: string): HoldfastError {
  return new HoldfastError('BAD_REQUEST', what)
}
