import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import { HoldfastError, type ErrorCode } from '../../core/errors.ts'
import type { NodeIdentity } from '../../core/node-key.ts'
import { KIB, MINUTE_MS } from '../../core/units.ts'
import { STATUS_OF } from '../../runtime/http/errors.ts'
import type { NodeAddress } from '../../runtime/node-agent.ts'
import { NodeAgents } from '../../runtime/node-agents.ts'

/** What a node answers when an upload's blocks are durable there. */
export const IntakeAnswer = z.object({
  cid: z.string(),
  /** The profile by which a file or directory became a DAG; absent for a CAR. */
  profile: z.string().optional(),
  /** Bytes of the content. */
  size: z.number().int().nonnegative(),
  /** Bytes of the distinct blocks. */
  bytes: z.number().int().nonnegative(),
  blocks: z.number().int().nonnegative(),
  /** False when blocks of the DAG are missing, as a CAR may leave them out. */
  complete: z.boolean(),
  /** Of the node's registration under which it took the upload. */
  epoch: z.number().int(),
})
export type IntakeAnswer = z.infer<typeof IntakeAnswer>

/** A body for a node's intake. */
export interface Intake {
  /** Query of the intake call. */
  query: Record<string, string>
  contentType: string
  /** Undefined for a body that comes in chunks. */
  length: number | undefined
  body: Readable
  signal: AbortSignal
}

/** The node took no byte of the body: another node can be asked. */
export class NodeRefused extends Error {
  override readonly cause: HoldfastError

  constructor(cause: HoldfastError) {
    super(cause.message)
    this.cause = cause
  }
}

/** A node that is silent for this long after it had the whole body has failed. */
const SILENCE_MS = 10 * MINUTE_MS
const MAX_ANSWER_BYTES = 64 * KIB

/** Sends uploads to nodes over connections that are kept per node. */
export class IntakeClient implements Disposable {
  readonly #agents: NodeAgents

  constructor(identity: NodeIdentity) {
    this.#agents = new NodeAgents(identity)
  }

  /**
   * Streams the body to the node's intake, at the pace at which the node takes it.
   * @throws NodeRefused when the node took nothing; else the node's own failure, UPSTREAM_FAILED when it broke off, and an
   *   AbortError when the client is gone
   */
  async send(node: NodeAddress, intake: Intake): Promise<IntakeAnswer> {
    const call = this.#call(node, intake)
    const responded = once(call, 'response').then(([response]) => response as IncomingMessage)
    // Until it is awaited below, a rejection is nobody's yet.
    responded.catch(() => undefined)
    try {
      const refusal = await Promise.race([once(call, 'continue').then(() => undefined), responded])
      if (refusal !== undefined) throw new NodeRefused(await failureIn(refusal))
    } catch (error) {
      call.destroy()
      throw intake.signal.aborted || error instanceof NodeRefused ? error : new NodeRefused(unreachable(node, error))
    }
    return await this.#transfer(call, responded, node, intake)
  }

  async #transfer(
    call: ClientRequest,
    responded: Promise<IncomingMessage>,
    node: NodeAddress,
    { body, signal }: Intake,
  ): Promise<IntakeAnswer> {
    const early = new AbortController()
    try {
      const fed = feed(body, call, early.signal)
      const response = await Promise.race([responded, fed.then(() => responded)])
      early.abort()
      return await answerIn(response)
    } catch (error) {
      early.abort()
      call.destroy()
      if (error instanceof HoldfastError || signal.aborted) throw error
      throw new HoldfastError('UPSTREAM_FAILED', `The node ${node.name} broke off the upload.`, { cause: error })
    }
  }

  #call(node: NodeAddress, { query, contentType, length, signal }: Intake): ClientRequest {
    const call = httpsRequest({
      agent: this.#agents.of(node),
      method: 'POST',
      path: `/intake?${new URLSearchParams(query).toString()}`,
      headers: {
        'Content-Type': contentType === '' ? 'application/octet-stream' : contentType,
        ...(length === undefined ? {} : { 'Content-Length': length }),
        Expect: '100-continue',
      },
      timeout: SILENCE_MS,
      signal,
    })
    call.on('timeout', () => call.destroy(new Error('the node was silent for too long')))
    // Whoever waits for the call sees its errors; this keeps those that come afterwards from being unhandled.
    call.on('error', () => undefined)
    call.flushHeaders()
    return call
  }

  [Symbol.dispose](): void {
    this.#agents[Symbol.dispose]()
  }
}

/** Hands a body over chunk by chunk, waiting whenever the node's connection is full. The body itself is not destroyed. */
async function feed(body: Readable, call: ClientRequest, early: AbortSignal): Promise<void> {
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  for await (const chunk of chunks) {
    if (early.aborted) return
    if (!call.write(chunk)) await once(call, 'drain', { signal: early })
  }
  call.end()
}

async function answerIn(response: IncomingMessage): Promise<IntakeAnswer> {
  if (response.statusCode !== 201) throw await failureIn(response)
  return IntakeAnswer.parse(JSON.parse(await textOf(response)))
}

async function failureIn(response: IncomingMessage): Promise<HoldfastError> {
  const Body = z.object({ error: z.object({ reason: z.string(), details: z.string() }) })
  const text = await textOf(response)
  const parsed = Body.safeParse(text.startsWith('{') ? JSON.parse(text) : undefined)
  if (!parsed.success) return new HoldfastError('UPSTREAM_FAILED', `A node answered ${response.statusCode}.`)
  const { reason, details } = parsed.data.error
  return new HoldfastError(reason in STATUS_OF ? (reason as ErrorCode) : 'UPSTREAM_FAILED', details)
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > MAX_ANSWER_BYTES) throw new Error('the answer of a node is too long')
  }
  return text
}

function unreachable(node: NodeAddress, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  return new HoldfastError('NO_NODE_AVAILABLE', `The node ${node.name} did not answer.`, { cause: error })
}
