import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { RAW } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { MIB } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { readCar } from '../dag/read-car.ts'
import { askGateway } from './ask-gateway.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'

const CAR_TYPE = 'application/vnd.ipld.car; version=1; order=dfs; dups=y'
const RAW_TYPE = 'application/vnd.ipld.raw'

/** Blocks that came before they were asked for, or may be asked for again (nodes on the path), are held up to this. */
const HELD_BYTES = 64 * MIB
/** How far one search goes ahead in the CAR before the block is fetched by itself. */
const SEARCH_BYTES = 16 * MIB

/**
 * Blocks of one content path from gateways that need not be trusted: each is checked against its CID. They come as one CAR
 * in depth-first order, which is the order in which a reader asks, one block at a time; what it asks for out of order is
 * fetched by itself. A gateway that fails is left for the next one, and what is still missing is fetched from there.
 */
export class GatewaySource implements BlockSource, AsyncDisposable {
  readonly #gateways: readonly string[]
  readonly #path: string
  readonly #signal: AbortSignal
  /** Gateways that failed, and how. */
  readonly #failures = new Map<string, unknown>()
  /** The CAR; undefined once it failed. */
  #blocks: AsyncIterator<Block> | undefined
  #isOpened = false
  /** What was answered last: a reader opens a block to see what it is, and again to read it. */
  #last: Block | undefined
  readonly #held = new Map<string, Uint8Array>()
  #heldBytes = 0

  /**
   * @param path `/ipfs/…`, percent-encoded
   * @param options.isSparse few of its blocks will be asked for: each is fetched by itself, and no CAR
   */
  constructor(gateways: readonly string[], path: string, signal: AbortSignal, { isSparse = false } = {}) {
    this.#gateways = gateways
    this.#path = path
    this.#signal = signal
    this.#isOpened = isSparse
  }

  /** @throws the failure that says most when every gateway failed, such as NOT_FOUND, HASH_MISMATCH, UPSTREAM_FAILED */
  async get(cid: CID, options: Abortable = {}): Promise<Uint8Array> {
    if (this.#last?.cid.equals(cid) === true) return this.#last.bytes
    return this.#held.get(cid.toString()) ?? (await this.#searchCar(cid, options)) ?? (await this.#fetch(cid))
  }

  async #searchCar(cid: CID, { signal }: Abortable): Promise<Uint8Array | undefined> {
    if (!this.#isOpened) await this.#openCar()
    for (let passed = 0; passed < SEARCH_BYTES;) {
      signal?.throwIfAborted()
      const next = await this.#nextBlock()
      if (next === undefined) return undefined
      if (next.cid.equals(cid)) return this.#keepNode(next)
      passed += next.bytes.length
      this.#hold(next)
    }
    return undefined
  }

  async #openCar(): Promise<void> {
    this.#isOpened = true
    this.#blocks = await this.#tryEach(async (gateway) => {
      const response = await askGateway(`${gateway}${this.#path}?format=car`, CAR_TYPE, this.#signal)
      const { blocks } = await readCar(chunksOf(response, gateway), { signal: this.#signal })
      return this.#blamed(gateway, blocks)
    })
  }

  /** The next block of the CAR; undefined when there is none, or no CAR. */
  async #nextBlock(): Promise<Block | undefined> {
    try {
      const next = await this.#blocks?.next()
      return next?.done === false ? next.value : undefined
    } catch {
      this.#signal.throwIfAborted()
      this.#blocks = undefined
      return undefined
    }
  }

  async *#blamed(gateway: string, blocks: AsyncIterable<Block>): AsyncGenerator<Block> {
    try {
      yield* blocks
    } catch (error) {
      this.#failures.set(gateway, error)
      throw error
    }
  }

  async #fetch(cid: CID): Promise<Uint8Array> {
    const bytes = await this.#tryEach(async (gateway) => {
      const response = await askGateway(`${gateway}/ipfs/${cid.toString()}?format=raw`, RAW_TYPE, this.#signal)
      const body = await wholeBlock(cid, chunksOf(response, gateway))
      verify(cid, body)
      return body
    })
    return this.#keepNode({ cid, bytes })
  }

  /** The first answer of a gateway that has not failed. */
  async #tryEach<T>(ask: (gateway: string) => Promise<T>): Promise<T> {
    for (const gateway of this.#gateways) {
      if (this.#failures.has(gateway)) continue
      try {
        return await ask(gateway)
      } catch (error) {
        this.#signal.throwIfAborted()
        this.#failures.set(gateway, error)
      }
    }
    throw mostTelling([...this.#failures.values()])
  }

  /** Inner nodes are asked for again by whoever opens what a path led to; leaves are not. */
  #keepNode(block: Block): Uint8Array {
    this.#last = block
    if (block.cid.code !== RAW) this.#hold(block)
    return block.bytes
  }

  /** In bytes of its own: those of a CAR are a view of a chunk that is much larger. */
  #hold({ cid, bytes }: Block): void {
    const key = cid.toString()
    if (this.#held.has(key)) return
    if (this.#heldBytes + bytes.length > HELD_BYTES) this.#forget()
    this.#held.set(key, new Uint8Array(bytes))
    this.#heldBytes += bytes.length
  }

  #forget(): void {
    for (const [key, bytes] of this.#held) {
      if (this.#heldBytes <= HELD_BYTES / 2) return
      this.#held.delete(key)
      this.#heldBytes -= bytes.length
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Closing a CAR that broke off fails as its reading did, which is known.
    await this.#blocks?.return?.().catch(() => undefined)
  }
}

/** Wrong bytes say more than content that is not there, and that more than a gateway that does not answer. */
function mostTelling(failures: readonly unknown[]): unknown {
  for (const code of [EXIT.verification, EXIT.notFound]) {
    const found = failures.find((failure) => exitCodeOf(failure) === code)
    if (found !== undefined) return found
  }
  return failures.at(-1) ?? new HoldfastError('UPSTREAM_FAILED', 'No gateway is known.')
}

async function* chunksOf({ body }: Response, gateway: string): AsyncGenerator<Uint8Array> {
  try {
    if (body !== null) yield* body
  } catch (cause) {
    throw new HoldfastError('UPSTREAM_FAILED', `The gateway ${gateway} broke off.`, { cause })
  }
}

async function wholeBlock(cid: CID, chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > MAX_BLOCK_BYTES) throw new HoldfastError('BLOCK_TOO_LARGE', `${cid.toString()} is too large.`)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
