import type { IncomingMessage, ServerResponse } from 'node:http'
import { HoldfastError, type ErrorCode } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'

/** A list of CIDs that is still not there after this comes from a node in trouble. */
const BODY_TIMEOUT_MS = 30 * SECOND_MS

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  BLOCK_MISSING: 404,
  METHOD_NOT_ALLOWED: 405,
  PAYLOAD_TOO_LARGE: 413,
  BAD_REQUEST: 400,
  INVALID_CID: 400,
  HASH_NOT_ALLOWED: 400,
  UNSUPPORTED_CODEC: 400,
}

/** Answers with all bytes at once. */
export function answerBytes(response: ServerResponse, bytes: Uint8Array, headers: Record<string, number> = {}): void {
  response.writeHead(200, { ...headers, 'content-length': bytes.length })
  response.end(bytes)
}

/**
 * Answers with the failure, or ends the connection when an answer had begun, so that nobody takes a part for the whole.
 * Between nodes only "no such thing", "your mistake" and "not now" matter.
 */
export function answerFailure(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const known = error instanceof HoldfastError ? error : new HoldfastError('INTERNAL_ERROR', 'This node has a defect.')
  const body = Buffer.from(JSON.stringify({ error: { reason: known.code, details: known.message } }))
  response.writeHead(STATUS_OF[known.code] ?? 503, {
    'content-type': 'application/json',
    'content-length': body.length,
    // The rest of a body that nobody will read must not be taken for the next request.
    ...(response.req.complete ? {} : { connection: 'close' }),
  })
  response.end(body)
}

/**
 * A small request body.
 * @throws PAYLOAD_TOO_LARGE, REQUEST_TIMEOUT
 */
export async function readSmallBody(request: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const timer = setTimeout(() => request.destroy(), BODY_TIMEOUT_MS)
  try {
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      signal.throwIfAborted()
      length += chunk.length
      if (length > maxBytes) throw new HoldfastError('PAYLOAD_TOO_LARGE', 'The call names too much.')
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    clearTimeout(timer)
  }
}
