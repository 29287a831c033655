import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import type { HoldfastError } from '../../core/errors.ts'
import { KIB } from '../../core/units.ts'

/**
 * A route is declared once: from the declaration come validation, the types its code sees, and the OpenAPI document.
 * An answer with a status or a body that is not declared does not compile.
 */
export interface RouteSpec<
  Access extends string = string,
  Params extends z.ZodObject | undefined = z.ZodObject | undefined,
  Query extends z.ZodObject | undefined = z.ZodObject | undefined,
  Body extends BodySpec | undefined = BodySpec | undefined,
  Answers extends AnswerSpecs = AnswerSpecs,
> {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** As in OpenAPI: `/v1/nodes/{id}:drain`. */
  path: `/${string}`
  summary: string
  /** `public`, or the scope that the caller's token must have. */
  access: Access
  params?: Params
  query?: Query
  body?: Body
  /** What each status of success carries; failures are the same everywhere. */
  answers: Answers
}

type AnswerSpecs = Readonly<Record<number, AnswerSpec>>

export type BodySpec = JsonBody<z.ZodType> | LinesBody<z.ZodType> | BytesBody
export type AnswerSpec = z.ZodType | LinesAnswer<z.ZodType> | TextAnswer | EitherAnswer<z.ZodType> | EmptyAnswer

/** A JSON document, read whole up to `maxBytes`. */
export interface JsonBody<Schema extends z.ZodType> {
  kind: 'json'
  schema: Schema
  maxBytes: number
}

/** NDJSON, read line by line; a line that is wrong becomes an error in its place. */
export interface LinesBody<Schema extends z.ZodType> {
  kind: 'lines'
  schema: Schema
  maxLineBytes: number
  maxLines: number
}

/** Bytes of any type, handed over as they come. */
export interface BytesBody {
  kind: 'bytes'
  /** Media types that the documentation lists. */
  types: readonly string[]
}

export interface LinesAnswer<Schema extends z.ZodType> {
  kind: 'lines-answer'
  schema: Schema
}

/** Text, whole or as it is made. */
export interface TextAnswer {
  kind: 'text-answer'
  type: string
}

/** A JSON document, or for whoever asks for their media type a few bytes. */
export interface EitherAnswer<Schema extends z.ZodType> {
  kind: 'either-answer'
  schema: Schema
  type: string
}

export interface EmptyAnswer {
  kind: 'empty-answer'
}

export function json<Schema extends z.ZodType>(schema: Schema, { maxBytes = 64 * KIB } = {}): JsonBody<Schema> {
  return { kind: 'json', schema, maxBytes }
}

export function lines<Schema extends z.ZodType>(
  schema: Schema,
  { maxLineBytes = 64 * KIB, maxLines = 10_000 } = {},
): LinesBody<Schema> {
  return { kind: 'lines', schema, maxLineBytes, maxLines }
}

export function bytes(...types: string[]): BytesBody {
  return { kind: 'bytes', types }
}

export function linesAnswer<Schema extends z.ZodType>(schema: Schema): LinesAnswer<Schema> {
  return { kind: 'lines-answer', schema }
}

export function textAnswer(type: string): TextAnswer {
  return { kind: 'text-answer', type }
}

/** @param type of the bytes; the code answers them as a Uint8Array */
export function eitherAnswer<Schema extends z.ZodType>(schema: Schema, type: string): EitherAnswer<Schema> {
  return { kind: 'either-answer', schema, type }
}

export const EMPTY: EmptyAnswer = { kind: 'empty-answer' }

/** One line of an NDJSON body, counted from 1. */
export type Line<T> = { line: number; value: T } | { line: number; error: HoldfastError }

/** A body of bytes as it arrives. */
export interface IncomingBytes {
  /** The Content-Type header, parameters included; empty when there was none. */
  type: string
  /** What the client says of the length; undefined for a chunked body. */
  length: number | undefined
  stream: IncomingMessage
}

type BodyOf<Spec> =
  Spec extends JsonBody<infer Schema>
    ? z.output<Schema>
    : Spec extends LinesBody<infer Schema>
      ? AsyncIterable<Line<z.output<Schema>>>
      : Spec extends BytesBody
        ? IncomingBytes
        : undefined

type OutputOf<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined

/** What the code of a route is given. */
interface RouteRequest<Params = unknown, Query = unknown, Body = unknown, Caller = unknown> {
  params: Params
  query: Query
  body: Body
  /** Undefined on public routes. */
  caller: Caller
  requestId: string
  /** A header of the request; undefined when it has none of the name. */
  header: (name: string) => string | undefined
  /** Aborted when the client is gone before its answer was sent. */
  signal: AbortSignal
  /** Aborted when the process is about to stop: whoever only waits for something to happen answers now. */
  stopping: AbortSignal
}

type AnswerBodyOf<Spec> = Spec extends z.ZodType
  ? { body: z.input<Spec> }
  : Spec extends LinesAnswer<infer Schema>
    ? { body: AsyncIterable<z.input<Schema>> }
    : Spec extends TextAnswer
      ? { body: string | AsyncIterable<string> }
      : Spec extends EitherAnswer<infer Schema>
        ? { body: z.input<Schema> | Uint8Array }
        : { body?: undefined }

/** What the code of a route answers: one of the declared statuses with its body. */
type AnswerOf<Answers> = {
  [Status in keyof Answers]: { status: Status; headers?: Record<string, string> } & AnswerBodyOf<Answers[Status]>
}[keyof Answers]

export interface AnyAnswer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

export interface Route<Caller> {
  readonly spec: RouteSpec
  readonly run: (request: RouteRequest<unknown, unknown, unknown, Caller | undefined>) => Promise<AnyAnswer>
}

/** How a process declares its routes: {@link declareRoute} with its own callers and scopes. */
export type DeclareRoute<Caller, Scope extends string> = <
  const Access extends 'public' | Scope,
  const Answers extends AnswerSpecs,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Body extends BodySpec | undefined = undefined,
>(
  spec: RouteSpec<Access, Params, Query, Body, Answers>,
  run: (
    request: RouteRequest<
      OutputOf<Params>,
      OutputOf<Query>,
      BodyOf<Body>,
      Access extends 'public' ? undefined : Caller
    >,
  ) => Promise<AnswerOf<Answers>>,
) => Route<Caller>

/** Declares a route. A process narrows it once: `export const route = declareRoute as DeclareRoute<Caller, Scope>`. */
export const declareRoute: DeclareRoute<never, never> = (spec, run) => ({
  spec,
  run: run as unknown as Route<never>['run'],
})

export const Failure = z
  .object({
    error: z.object({
      reason: z.string().min(1).describe('A stable code in upper case'),
      details: z.string().min(1).describe('A sentence for people'),
    }),
  })
  .meta({ id: 'Failure', description: 'What every request that fails is answered with' })
