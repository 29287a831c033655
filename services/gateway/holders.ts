import type { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import type { TransferClient } from '../transfer/client.ts'

/** Blocks that other nodes of the cluster hold. */
export interface Holders {
  /**
   * The block, verified, from the nearest node that has it; undefined when none has.
   * @param root whose DAG is being read: the node that had its last block is asked first
   */
  find(cid: CID, root: CID, options: { signal: AbortSignal }): Promise<Uint8Array | undefined>
}

export interface HoldersOptions {
  client: Pick<TransferClient, 'has' | 'block'>
  /** Names of the nodes that are up, without this one. Read at each use. */
  nodes: () => readonly string[]
  log: Log
}

const REMEMBERED_ROOTS = 10_000
/** A node that does not say by then whether it has a block counts as one that has not: a miss is not held up by it. */
const ASK_MS = 2 * SECOND_MS

/**
 * Asks all nodes at once which of them has a block, takes it from the first that says so (which makes it the nearest
 * just now), and remembers that node for the root. A node that fails, stalls or sends wrong bytes is passed over.
 */
export function findHolders({ client, nodes, log }: HoldersOptions): Holders {
  const lastHolder = new Map<string, string>()

  async function find(cid: CID, root: CID, { signal }: { signal: AbortSignal }): Promise<Uint8Array | undefined> {
    const key = cidKey(root)
    const up = nodes()
    const last = up.find((node) => node === lastHolder.get(key))
    if (last !== undefined) {
      const bytes = await take(last, cid, signal)
      if (bytes !== undefined) return bytes
    }
    const others = up.filter((node) => node !== last)
    for await (const node of whoHas(others, cid, signal)) {
      const bytes = await take(node, cid, signal)
      if (bytes === undefined) continue
      remember(lastHolder, key, node)
      return bytes
    }
    return undefined
  }

  function take(node: string, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return unlessFailed(node, signal, () => client.block(node, cid, { signal }))
  }

  /** The nodes that say yes, in the order in which they do. */
  async function* whoHas(asked: readonly string[], cid: CID, signal: AbortSignal): AsyncGenerator<string> {
    const enough = new AbortController()
    const limit = AbortSignal.any([signal, enough.signal, AbortSignal.timeout(ASK_MS)])
    const open = new Map(
      asked.map((node) => {
        const answer = unlessFailed(node, signal, () => client.has(node, [cid], { signal: limit }))
        return [node, answer.then((held) => ({ node, yes: held?.[0] === true }))]
      }),
    )
    try {
      while (open.size > 0) {
        const { node, yes } = await Promise.race(open.values())
        open.delete(node)
        if (yes) yield node
      }
    } finally {
      enough.abort()
    }
  }

  async function unlessFailed<T>(node: string, signal: AbortSignal, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error, node }, 'a node could not be asked for a block')
      return undefined
    }
  }

  return {
    async find(cid, root, options) {
      const bytes = await find(cid, root, options)
      options.signal.throwIfAborted()
      return bytes
    },
  }
}

function remember(lastHolder: Map<string, string>, root: string, node: string): void {
  lastHolder.delete(root)
  lastHolder.set(root, node)
  const [oldest] = lastHolder.keys()
  if (lastHolder.size > REMEMBERED_ROOTS && oldest !== undefined) lastHolder.delete(oldest)
}
