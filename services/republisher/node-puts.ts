import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import type { NetworkNode } from '../catalog/names-targets.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import type { NodeAgent } from '../runtime/node-agent.ts'
import { NodeAgents } from '../runtime/node-agents.ts'

/** Longer than a node's walk of the DHT may take. */
const ANSWER_MS = 75 * SECOND_MS
const MAX_ANSWER_BYTES = 4 * KIB
const Put = z.object({ peers: z.int().nonnegative() })
const Failure = z.object({ error: z.object({ reason: z.string(), details: z.string() }) })

interface RecordPut {
  /** How the node is to tell it on: one of the calls of its listener. */
  by: 'dht' | 'pubsub'
  name: string
  record: Uint8Array
  signal: AbortSignal
}

/** Has nodes tell records to the network: the control plane is no member of it. */
export class NodePuts implements Disposable {
  readonly #agents: NodeAgents

  constructor(identity: NodeIdentity) {
    this.#agents = new NodeAgents(identity)
  }

  /**
   * @returns how many peers the node told
   * @throws UPSTREAM_FAILED with what the node said; NO_NODE_AVAILABLE when it did not answer; the signal's reason
   */
  async put(node: NetworkNode, put: RecordPut): Promise<number> {
    try {
      return await putBy(this.#agents.of(node), put)
    } catch (error) {
      put.signal.throwIfAborted()
      throw hasCode(error) ? error : unreachable(node, error)
    }
  }

  [Symbol.dispose](): void {
    this.#agents[Symbol.dispose]()
  }
}

async function putBy(agent: NodeAgent, { by, name, record, signal }: RecordPut): Promise<number> {
  const call = httpsRequest({
    agent,
    method: 'POST',
    path: `/${by}?name=${name}`,
    headers: { 'content-type': 'application/octet-stream', 'content-length': record.length },
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
  })
  // Whoever waits for the answer sees its errors; this keeps those that come afterwards from being unhandled.
  call.on('error', () => {})
  call.end(record)
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  const answer: unknown = JSON.parse(await textOf(response))
  if (response.statusCode === 200) return Put.parse(answer).peers
  throw new HoldfastError('UPSTREAM_FAILED', Failure.parse(answer).error.details)
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > MAX_ANSWER_BYTES) throw new HoldfastError('UPSTREAM_FAILED', 'A node answered too much.')
  }
  return text
}

/** What a node said of the record tells more than that another one is dead. */
export function tellingOf(failures: readonly HoldfastError[]): HoldfastError {
  const said = failures.find(({ code }) => code === 'UPSTREAM_FAILED')
  return said ?? failures.at(-1) ?? new HoldfastError('NO_NODE_AVAILABLE', 'No node is up to put it.')
}

function unreachable({ name }: NetworkNode, cause: unknown): HoldfastError {
  return new HoldfastError('NO_NODE_AVAILABLE', `The node ${name} did not answer.`, { cause })
}
