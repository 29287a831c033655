import { CID } from 'multiformats/cid'
import type { BlockReader } from '../blocks/contract.ts'
import { hasCode } from '../core/errors.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { answerOf, answersDigest, NO_ANSWER, placesOf, seedOf } from '../core/proof/challenge.ts'
import { possessionMessage } from '../core/proof/possession.ts'
import type { PossessionChallenge, PossessionReport } from '../core/sync.ts'
import type { Log } from '../runtime/log.ts'
import type { Outbox } from './outbox.ts'

export interface PossessionsOptions {
  store: Pick<BlockReader, 'root' | 'manifest' | 'get'>
  identity: Pick<NodeIdentity, 'sign'>
  outbox: Pick<Outbox, 'addPossessions'>
  log: Log
}

/** Challenges that are taken on, running and waiting. */
const MAX_CHALLENGES = 50
/** At once: each reads one block after the other, and copies and readers come before. */
const AT_ONCE = 2

/** Answers challenges from this node's disk, a few at a time, and puts the answers into the outbox. */
export class Possessions implements AsyncDisposable {
  readonly #options: PossessionsOptions
  readonly #taken = new Map<string, PossessionChallenge>()
  readonly #waiting: PossessionChallenge[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #stop = new AbortController()

  constructor(options: PossessionsOptions) {
    this.#options = options
  }

  /** How many more are welcome. */
  get free(): number {
    return this.#stop.signal.aborted ? 0 : Math.max(0, MAX_CHALLENGES - this.#taken.size)
  }

  /** Takes challenges on; those that it has already are not answered twice. */
  accept(challenges: readonly PossessionChallenge[]): void {
    for (const challenge of challenges) {
      if (this.#stop.signal.aborted || this.#taken.has(challenge.id)) continue
      this.#taken.set(challenge.id, challenge)
      this.#waiting.push(challenge)
    }
    while (this.#running.size < AT_ONCE && this.#waiting.length > 0) {
      const running = this.#work().finally(() => this.#running.delete(running))
      this.#running.add(running)
    }
  }

  async #work(): Promise<void> {
    const { store, identity, outbox, log } = this.#options
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        outbox.addPossessions([await answerChallenge(next, { store, identity, signal: this.#stop.signal })])
      } catch (error) {
        if (this.#stop.signal.aborted) return
        // It comes again if it is still wanted.
        log.warn({ err: error, root: next.root }, 'a challenge could not be answered')
      } finally {
        this.#taken.delete(next.id)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
  }
}

/**
 * The node's answers, each block read and hashed once. A block that is gone or damaged is answered with zeros.
 * @throws STORAGE_FAILED when the disk does not answer; the signal's reason
 */
async function answerChallenge(
  { id, root, nonce, subjects }: PossessionChallenge,
  { store, identity, signal }: Pick<PossessionsOptions, 'store' | 'identity'> & { signal: AbortSignal },
): Promise<PossessionReport> {
  const cid = CID.parse(root)
  const { blocks, bytes } = store.root(cid) ?? { blocks: 0, bytes: 0 }
  const asked = subjects.map((subject) => {
    const seed = seedOf(nonce, cid.bytes, subject)
    return { subject, seed, places: new Set(placesOf(seed, blocks)), answers: new Map<number, Uint8Array>() }
  })
  const places = new Set(asked.flatMap((one) => [...one.places]))
  for (const place of [...places].sort((a, b) => a - b)) {
    const block = await blockAt(cid, place, store, signal)
    for (const { seed, answers, ...one } of asked) {
      if (block !== undefined && one.places.has(place)) answers.set(place, answerOf(seed, block))
    }
  }
  const answers = asked.map(({ subject, places: order, answers: found }) => {
    const all = Buffer.concat([...order].map((place) => found.get(place) ?? NO_ANSWER))
    const possession = { cid: root, nonce, subject, blocks, bytes, answers: answersDigest(all) }
    return { subject, answers: all.toString('base64url'), signature: identity.sign(possessionMessage(possession)) }
  })
  return { id, blocks, bytes, answers }
}

async function blockAt(
  root: CID,
  place: number,
  store: PossessionsOptions['store'],
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const [entry] = store.manifest(root, place, place + 1)
  if (entry === undefined) return undefined
  try {
    return await store.get(entry.cid, { signal })
  } catch (error) {
    if (hasCode(error, 'CORRUPT_BLOCK')) return undefined
    throw error
  }
}
