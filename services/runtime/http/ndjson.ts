import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import { HoldfastError } from '../../core/errors.ts'
import { formatSize } from '../../core/units.ts'
import { parseJson, requireType } from './body.ts'
import type { Line, LinesBody } from './route.ts'
import { validate } from './validation.ts'

const NEWLINE = 0x0a

/**
 * The lines of an NDJSON body as they arrive; nothing more is read while a line is worked on. A line that is no JSON or
 * does not fit the schema is an error in its place; empty lines are skipped but counted.
 * @throws UNSUPPORTED_MEDIA_TYPE before the first line; PAYLOAD_TOO_LARGE for a line or a number of lines over the limit
 */
export function readLines<Schema extends z.ZodType>(
  request: IncomingMessage,
  { schema, maxLineBytes, maxLines }: LinesBody<Schema>,
): AsyncIterable<Line<z.output<Schema>>> {
  requireType(request, /^application\/(?:x-ndjson|ndjson|jsonl|x-jsonlines)$/i, 'application/x-ndjson')
  return parseLines(request.iterator({ destroyOnReturn: false }), { schema, maxLineBytes, maxLines })
}

export async function* parseLines<Schema extends z.ZodType>(
  chunks: AsyncIterable<Buffer>,
  { schema, maxLineBytes, maxLines }: Omit<LinesBody<Schema>, 'kind'>,
): AsyncGenerator<Line<z.output<Schema>>> {
  let line = 0
  for await (const text of splitLines(chunks, maxLineBytes)) {
    line++
    if (line > maxLines) throw new HoldfastError('PAYLOAD_TOO_LARGE', `At most ${maxLines} lines may be sent at once.`)
    if (!isBlank(text)) yield lineOf(line, text, schema)
  }
}

function lineOf<Schema extends z.ZodType>(line: number, text: Buffer, schema: Schema): Line<z.output<Schema>> {
  try {
    return { line, value: validate(schema, parseJson(text)) }
  } catch (error) {
    if (error instanceof HoldfastError) return { line, error }
    throw error
  }
}

async function* splitLines(chunks: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let pending = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      parts.push(chunk.subarray(from, end))
      pending += end - from
      refuseLong(pending, maxLineBytes)
      yield Buffer.concat(parts)
      parts = []
      pending = 0
      from = end + 1
    }
    parts.push(chunk.subarray(from))
    pending += chunk.length - from
    refuseLong(pending, maxLineBytes)
  }
  if (pending > 0) yield Buffer.concat(parts)
}

function refuseLong(lengthBytes: number, maxLineBytes: number): void {
  if (lengthBytes <= maxLineBytes) return
  throw new HoldfastError('PAYLOAD_TOO_LARGE', `A line may have at most ${formatSize(maxLineBytes)}.`)
}

function isBlank(text: Buffer): boolean {
  return text.toString('latin1').trim() === ''
}

/** Values as NDJSON, one chunk a value. */
export async function* writeLines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`
}
