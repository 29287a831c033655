import type { CID } from 'multiformats/cid'
import { multihashKey } from '../dag/multihash-key.ts'
import type { Log } from '../runtime/log.ts'
import type { TransferClient } from '../transfer/client.ts'
import type { HolderChoice } from './holder-choice.ts'

export interface TakeManyOptions {
  client: Pick<TransferClient, 'blocks'>
  choice: HolderChoice
  /** Nodes that may have them. */
  nodes: readonly string[]
  signal: AbortSignal
  /** Takes a block; the bytes are its own. */
  onBlock: (key: string, bytes: Uint8Array) => void
  /** Told whether a node that answered had any. */
  onAnswered: (node: string, hadAny: boolean) => void
  log: Log
}

/**
 * Gets blocks by one call to the best of the nodes. When that one has not sent a block for longer than usual, ends early
 * or lacks some, the next is asked for what is still missing; the first that sends a block wins. Resolves when all have
 * come or no node is left; never rejects.
 */
export async function takeMany(cids: readonly CID[], options: TakeManyOptions): Promise<void> {
  const { choice, nodes, signal } = options
  const missing = new Map(cids.map((cid) => [multihashKey(cid), cid]))
  const enough = new AbortController()
  const until = AbortSignal.any([signal, enough.signal])
  const untried = new Set(nodes)
  const running = new Set<Promise<void>>()
  const silence = new Silence()
  try {
    while (missing.size > 0 && !signal.aborted) {
      const [node] = choice.order([...untried])
      if (node !== undefined) {
        untried.delete(node)
        const part = takePart(node, missing, { ...options, signal: until, silence })
        running.add(part)
        void part.then(() => running.delete(part))
      }
      if (running.size === 0) return
      // The last one is waited for as long as the connection bears it.
      const isLong = untried.size > 0 ? silence.lasts(choice.silenceMs(node ?? '')) : undefined
      await Promise.race(isLong === undefined ? running : [...running, isLong])
    }
  } finally {
    enough.abort()
    silence[Symbol.dispose]()
  }
}

/** Takes what is missing from one node. */
async function takePart(
  node: string,
  missing: Map<string, CID>,
  { client, choice, signal, onBlock, onAnswered, silence, log }: TakeManyOptions & { silence: Silence },
): Promise<void> {
  using _ = choice.asking(node)
  const silenceMs = choice.silenceMs(node)
  let since = performance.now()
  let count = 0
  try {
    for await (const { cid, bytes } of client.blocks(node, [...missing.values()], { signal, isRead: true })) {
      const now = performance.now()
      choice.answered(node, now - since)
      since = now
      count += 1
      silence.broken()
      const key = multihashKey(cid)
      if (missing.delete(key)) onBlock(key, new Uint8Array(bytes))
      if (missing.size === 0) break
    }
    onAnswered(node, count > 0)
  } catch (error) {
    // Whoever was not waited for any longer is as good as failed.
    if (signal.aborted && performance.now() - since < silenceMs) return
    choice.failed(node)
    log.debug({ err: error, node }, 'a node did not give blocks')
  }
}

/** A time without events. */
class Silence implements Disposable {
  #timer: NodeJS.Timeout | undefined

  /** Resolves when nothing has broken the silence for so long. Ends what was waited for before. */
  lasts(ms: number): Promise<void> {
    clearTimeout(this.#timer)
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms)
    })
  }

  broken(): void {
    this.#timer?.refresh()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
