import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { someNodesUp, type DhtNode } from '../catalog/names-targets.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import { NodeAgent } from '../runtime/node-agent.ts'
import type { PutTarget } from './put-target.ts'

/** A node that cannot do it now has another one do it. */
const NODES_TRIED = 2
/** Longer than a node's walk of the DHT may take. */
const ANSWER_MS = 75 * SECOND_MS
const MAX_ANSWER_BYTES = 4 * KIB
const Put = z.object({ peers: z.int().nonnegative() })
const Failure = z.object({ error: z.object({ reason: z.string(), details: z.string() }) })

/** The DHT, by way of the nodes: the control plane is no member of it. */
export function dhtTarget(db: Database, identity: NodeIdentity): PutTarget & Disposable {
  const agents = new Map<string, NodeAgent>()
  const agentOf = (node: DhtNode): NodeAgent => {
    const key = `${node.transfer} ${node.publicKey}`
    const agent = agents.get(key) ?? new NodeAgent(node, identity)
    agents.set(key, agent)
    return agent
  }
  return {
    id: 'dht',
    async put(name, record, { signal }) {
      const failures: HoldfastError[] = []
      for (const node of await someNodesUp(db, NODES_TRIED)) {
        try {
          return await putBy(agentOf(node), { name: name.text, record, signal })
        } catch (error) {
          signal.throwIfAborted()
          failures.push(hasCode(error) ? error : unreachable(node, error))
        }
      }
      throw tellingOf(failures)
    },
    [Symbol.dispose]() {
      for (const agent of agents.values()) agent.destroy()
    },
  }
}

async function putBy(
  agent: NodeAgent,
  { name, record, signal }: { name: string; record: Uint8Array; signal: AbortSignal },
): Promise<number> {
  const call = httpsRequest({
    agent,
    method: 'POST',
    path: `/dht?name=${name}`,
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
function tellingOf(failures: readonly HoldfastError[]): HoldfastError {
  const said = failures.find(({ code }) => code === 'UPSTREAM_FAILED')
  return said ?? failures.at(-1) ?? new HoldfastError('NO_NODE_AVAILABLE', 'No node is up to put it.')
}

function unreachable({ name }: DhtNode, cause: unknown): HoldfastError {
  return new HoldfastError('NO_NODE_AVAILABLE', `The node ${name} did not answer.`, { cause })
}
