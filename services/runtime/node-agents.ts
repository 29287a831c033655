import type { NodeIdentity } from '../core/node-key.ts'
import { NodeAgent, type NodeAddress } from './node-agent.ts'

/** Connections to nodes that are kept for the next call, per node. */
export class NodeAgents implements Disposable {
  readonly #identity: NodeIdentity
  readonly #agents = new Map<string, NodeAgent>()

  constructor(identity: NodeIdentity) {
    this.#identity = identity
  }

  of(node: NodeAddress): NodeAgent {
    const key = `${node.transfer} ${node.publicKey}`
    const known = this.#agents.get(key)
    if (known !== undefined) return known
    const agent = new NodeAgent(node, this.#identity)
    this.#agents.set(key, agent)
    return agent
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy()
  }
}
