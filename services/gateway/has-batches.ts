import type { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import type { TransferClient } from '../transfer/client.ts'
import { MAX_BLOCKS_PER_CALL } from '../transfer/wire.ts'

interface Question {
  cid: CID
  answer: PromiseWithResolvers<boolean>
}

interface Line {
  questions: Question[]
  calls: number
}

/** Calls to one node at once; what is asked meanwhile goes with the next. */
const CALLS_PER_NODE = 2
const MAX_WAITING = 8_192

/** Asks nodes whether they have blocks: many questions by one call, so that a flood of them costs few. */
export class HasBatches {
  readonly #client: Pick<TransferClient, 'has'>
  readonly #timeoutMs: number
  readonly #lines = new Map<string, Line>()

  /** @param timeoutMs until a call must be answered */
  constructor(client: Pick<TransferClient, 'has'>, timeoutMs: number) {
    this.#client = client
    this.#timeoutMs = timeoutMs
  }

  /** @throws what `has` throws; UNAVAILABLE when too many wait; the signal's reason */
  async ask(node: string, cid: CID, signal: AbortSignal): Promise<boolean> {
    const line = this.#lines.get(node) ?? { questions: [], calls: 0 }
    this.#lines.set(node, line)
    if (line.questions.length >= MAX_WAITING) {
      throw new HoldfastError('UNAVAILABLE', `Too much is being asked of the node ${node}.`)
    }
    const answer = Promise.withResolvers<boolean>()
    answer.promise.catch(() => {})
    line.questions.push({ cid, answer })
    void this.#send(node, line)
    return await unlessAborted(answer.promise, signal)
  }

  async #send(node: string, line: Line): Promise<void> {
    if (line.calls >= CALLS_PER_NODE || line.questions.length === 0) return
    const questions = line.questions.splice(0, MAX_BLOCKS_PER_CALL)
    line.calls += 1
    try {
      const cids = questions.map(({ cid }) => cid)
      const held = await this.#client.has(node, cids, { signal: AbortSignal.timeout(this.#timeoutMs) })
      for (const [index, { answer }] of questions.entries()) answer.resolve(held[index] === true)
    } catch (error) {
      for (const { answer } of questions) answer.reject(error)
    }
    line.calls -= 1
    if (line.questions.length > 0) void this.#send(node, line)
    else if (line.calls === 0) this.#lines.delete(node)
  }
}
