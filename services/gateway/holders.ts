import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { cidKey } from '../core/cid.ts'
import { matches } from '../core/verify.ts'
import type { Log } from '../runtime/log.ts'

/** The other nodes of the cluster, as far as a read needs them. */
export interface Neighbours<Node extends { name: string }> {
  /** Those that are up, the nearest first, without this one. */
  nodes(): readonly Node[]
  /** Which of the blocks the node holds, in their order. */
  has(node: Node, cids: readonly CID[], options: Abortable): Promise<readonly boolean[]>
  block(node: Node, cid: CID, options: Abortable): Promise<Uint8Array | undefined>
}

/** Blocks that other nodes of the cluster hold. */
export interface Holders {
  /**
   * The block, verified, from the nearest node that has it; undefined when none has.
   * @param root whose DAG is being read: the node that had its last block is asked first
   */
  find(cid: CID, root: CID, options: { signal: AbortSignal }): Promise<Uint8Array | undefined>
}

const REMEMBERED_ROOTS = 10_000

/**
 * Asks all nodes at once which of them has a block, takes it from the first that says so (the nearest in time), and
 * remembers that node for the root. A node that fails or lies is passed over.
 */
export function findHolders<Node extends { name: string }>(neighbours: Neighbours<Node>, log: Log): Holders {
  const answered = new Map<string, string>()

  async function find(cid: CID, root: CID, { signal }: { signal: AbortSignal }): Promise<Uint8Array | undefined> {
    const key = cidKey(root)
    const nodes = neighbours.nodes()
    const last = nodes.find(({ name }) => name === answered.get(key))
    if (last !== undefined) {
      const bytes = await take(last, cid, signal)
      if (bytes !== undefined) return bytes
      answered.delete(key)
    }
    for await (const node of whoHave(
      nodes.filter((node) => node !== last),
      cid,
      signal,
    )) {
      const bytes = await take(node, cid, signal)
      if (bytes === undefined) continue
      remember(answered, key, node.name)
      return bytes
    }
    return undefined
  }

  async function take(node: Node, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const bytes = await unlessFailed(node, signal, () => neighbours.block(node, cid, { signal }))
    if (bytes === undefined || matches(cid, bytes)) return bytes
    log.warn({ node: node.name, cid: cid.toString() }, 'a node sent bytes that do not match the CID')
    return undefined
  }

  /** Nodes in the order in which they say yes. */
  async function* whoHave(nodes: readonly Node[], cid: CID, signal: AbortSignal): AsyncGenerator<Node> {
    const asked = new Map(
      nodes.map((node) => {
        const answer = unlessFailed(node, signal, () => neighbours.has(node, [cid], { signal }))
        return [node, answer.then((held) => ({ node, yes: held?.[0] === true }))]
      }),
    )
    while (asked.size > 0) {
      const { node, yes } = await Promise.race(asked.values())
      asked.delete(node)
      if (yes) yield node
    }
  }

  async function unlessFailed<T>(node: Node, signal: AbortSignal, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (error) {
      signal.throwIfAborted()
      log.debug({ err: error, node: node.name }, 'a node could not be asked for a block')
      return undefined
    }
  }

  return { find }
}

function remember(answered: Map<string, string>, root: string, node: string): void {
  answered.delete(root)
  answered.set(root, node)
  const [oldest] = answered.keys()
  if (answered.size > REMEMBERED_ROOTS && oldest !== undefined) answered.delete(oldest)
}
