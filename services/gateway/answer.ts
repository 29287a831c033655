/** What goes out: a whole body, or pieces of it as the client takes them. A piece may be overwritten once the next
 * is asked for. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>

export type Headers = Record<string, string>

/**
 * An answer before it is sent. An iterable body is not started before its first piece is wanted, so that a HEAD costs
 * no reads; when it throws after that the connection is destroyed, and nobody takes what came for the whole.
 */
export interface Answer {
  status: number
  headers: Headers
  body?: Body
}
