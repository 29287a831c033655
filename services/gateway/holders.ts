import type { CID } from 'multiformats/cid'
import { asTheyCome } from '../core/as-they-come.ts'
import { cidKey } from '../core/cid.ts'
import { RecentMap } from '../core/recent-map.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import type { TransferClient } from '../transfer/client.ts'
import { HasBatches } from './has-batches.ts'
import { hedged } from './hedged.ts'
import { HolderChoice } from './holder-choice.ts'
import { takeMany } from './take-many.ts'

/** Blocks that other nodes of the cluster hold. */
export interface Holders {
  /**
   * The block, verified, from the nearest node that has it; undefined when none has.
   * @param root whose DAG is being read: nodes that had other blocks of it are asked first
   */
  find(cid: CID, root: CID, options: { signal: AbortSignal }): Promise<Uint8Array | undefined>
  /**
   * Gets what it can of the blocks by few calls to nodes that have some of the root, and tells of each block, verified, as
   * it comes; the bytes are the listener's. Never rejects.
   */
  findMany(cids: readonly CID[], root: CID, options: FindManyOptions): Promise<void>
}

interface FindManyOptions {
  signal: AbortSignal
  onBlock: (key: string, bytes: Uint8Array) => void
}

export interface HoldersOptions {
  client: Pick<TransferClient, 'has' | 'block' | 'blocks' | 'rttMs'>
  /** Names of the nodes that are up, without this one. Read at each use. */
  nodes: () => readonly string[]
  log: Log
}

/** A node that does not say by then whether it has a block counts as one that has not: a miss is not held up by it. */
const ASK_MS = 2 * SECOND_MS

/**
 * Takes each block from the best of the nodes that are known to have some of its root; when those do not give it, asks all
 * others at once who has it, and remembers who said yes. A node that takes longer than usual is not waited for: the next
 * is asked as well, and the first that gives the block wins. One that fails or sends wrong bytes is left alone for a while.
 */
export function findHolders({ client, nodes, log }: HoldersOptions): Holders {
  const choice = new HolderChoice((node) => client.rttMs(node))
  const known = new KnownHolders()
  const questions = new HasBatches(client, ASK_MS)

  /** Nodes to ask for the block, as far as they are wanted. */
  async function* candidates(cid: CID, root: string, signal: AbortSignal): AsyncGenerator<string> {
    const up = nodes()
    const likely = choice.order(up.filter((node) => known.has(root, node)))
    for (const node of likely) yield* counted(node)
    const others = choice.order(up.filter((node) => !likely.includes(node) && !choice.isGivenUp(node)))
    for await (const node of whoHas(others, { cid, root, signal })) yield* counted(node)
  }

  /** The node is busy with the block from the moment in which it is chosen, so that the next block is asked elsewhere. */
  function* counted(node: string): Generator<string> {
    using _ = choice.asking(node)
    yield node
  }

  async function take(node: string, { cid, root, signal }: Asked): Promise<Uint8Array | undefined> {
    const begun = performance.now()
    try {
      const bytes = await client.block(node, cid, { signal })
      choice.answered(node, performance.now() - begun)
      if (bytes === undefined) known.forget(root, node)
      else known.add(root, node)
      return bytes
    } catch (error) {
      // Whoever was not waited for any longer is as good as failed, or each block would wait for it anew.
      if (!signal.aborted || performance.now() - begun > choice.silenceMs(node)) {
        choice.failed(node)
        log.debug({ err: error, node }, 'a node did not give a block')
      }
      return undefined
    }
  }

  /** The nodes that say yes, in the order in which they do. All answers are remembered, also of those that come later. */
  async function* whoHas(asked: readonly string[], about: Asked): AsyncGenerator<string> {
    for await (const { node, yes } of asTheyCome(asked.map((one) => doesHave(one, about)))) if (yes) yield node
  }

  async function doesHave(node: string, { cid, root, signal }: Asked): Promise<{ node: string; yes: boolean }> {
    try {
      const yes = await questions.ask(node, cid, AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]))
      if (yes) known.add(root, node)
      return { node, yes }
    } catch (error) {
      if (!signal.aborted) {
        choice.failed(node)
        log.debug({ err: error, node }, 'a node could not be asked for a block')
      }
      return { node, yes: false }
    }
  }

  /** Has all nodes asked who holds the root: that of the first block came from the nearest, and the others are not known. */
  function meet(root: CID): void {
    const key = cidKey(root)
    if (!known.isToBeMet(key)) return
    const about = { cid: root, root: key, signal: new AbortController().signal }
    for (const node of nodes()) if (!known.has(key, node)) void doesHave(node, about)
  }

  return {
    async find(cid, root, { signal }) {
      const key = cidKey(root)
      const bytes = await hedged(
        candidates(cid, key, signal),
        (node, aborted) => take(node, { cid, root: key, signal: aborted }),
        { patienceMs: (node) => choice.patienceMs(node), signal },
      )
      signal.throwIfAborted()
      return bytes
    },
    async findMany(cids, root, options) {
      const key = cidKey(root)
      meet(root)
      await takeMany(cids, {
        ...options,
        client,
        choice,
        nodes: nodes().filter((node) => known.has(key, node)),
        onAnswered: (node, hadAny) => (hadAny ? known.add(key, node) : known.forget(key, node)),
        log,
      })
    },
  }
}

interface Asked {
  cid: CID
  root: string
  signal: AbortSignal
}

const REMEMBERED_ROOTS = 10_000
/** Nodes that have got a copy meanwhile take part so soon. */
const MEET_EVERY_MS = 30 * SECOND_MS

interface RootHolders {
  nodes: Set<string>
  metAt: number
}

/** Which nodes had blocks of which roots, the roots that were read last. */
class KnownHolders {
  readonly #roots = new RecentMap<string, RootHolders>(REMEMBERED_ROOTS)

  has(root: string, node: string): boolean {
    return this.#roots.get(root)?.nodes.has(node) ?? false
  }

  add(root: string, node: string): void {
    this.#touch(root).nodes.add(node)
  }

  forget(root: string, node: string): void {
    this.#roots.get(root)?.nodes.delete(node)
  }

  /** Whether all nodes have not been asked for the root for long; from now on they have. */
  isToBeMet(root: string): boolean {
    const holders = this.#touch(root)
    const now = performance.now()
    if (now - holders.metAt < MEET_EVERY_MS) return false
    holders.metAt = now
    return true
  }

  #touch(root: string): RootHolders {
    const holders = this.#roots.get(root) ?? { nodes: new Set(), metAt: Number.NEGATIVE_INFINITY }
    this.#roots.set(root, holders)
    return holders
  }
}
