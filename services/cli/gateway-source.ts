import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSource } from '../core/block-source.ts'
import { RAW } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { MIB } from '../core/units.ts'
import { verify } from '../core/verify.ts'
import { readCar } from '../dag/read-car.ts'
import type { Block } from '../dag/fetch-dag.ts'

const CAR_TYPE = 'application/vnd.ipld.car; version=1; order=dfs; dups=y'
const RAW_TYPE = 'application/vnd.ipld.raw'

/** Blocks that came before they were asked for, or may be asked for again (nodes on the path), are held up to this. */
const HELD_BYTES = 64 * MIB
/** How far one search goes ahead in the CAR before the block is fetched by itself. */
const SEARCH_BYTES = 16 * MIB

/**
 * Blocks of one content path from a gateway that need not be trusted: each is checked against its CID. They come as one
 * CAR in depth-first order, which is the order in which a reader asks; what it asks for out of order is fetched by itself.
 */
export class GatewaySource implements BlockSource, AsyncDisposable {
  readonly #gateway: string
  readonly #blocks: AsyncIterator<Block>
  readonly #held = new Map<string, Uint8Array>()
  #heldBytes = 0
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(gateway: string, blocks: AsyncIterable<Block>) {
    this.#gateway = gateway
    this.#blocks = blocks[Symbol.asyncIterator]()
  }

  /** @throws NOT_FOUND and what else the gateway answers; INVALID_CAR for what is no CAR */
  static async open(gateway: string, path: string, { signal }: Abortable = {}): Promise<GatewaySource> {
    const response = await request(`${gateway}${path}?format=car`, CAR_TYPE, signal)
    const car = await readCar(chunksOf(response), signal === undefined ? {} : { signal })
    return new GatewaySource(gateway, car.blocks)
  }

  /** One at a time: several readers of one stream would each take the others' blocks. */
  get(cid: CID, options: Abortable = {}): Promise<Uint8Array | undefined> {
    const found = this.#turn.then(() => this.#find(cid, options))
    this.#turn = found.catch(() => {})
    return found
  }

  async #find(cid: CID, options: Abortable): Promise<Uint8Array | undefined> {
    const held = this.#held.get(cid.toString())
    if (held !== undefined) return held
    for (let passed = 0; passed < SEARCH_BYTES;) {
      options.signal?.throwIfAborted()
      const next = await this.#blocks.next()
      if (next.done === true) break
      if (next.value.cid.equals(cid)) return this.#keepNode(next.value)
      passed += next.value.bytes.length
      this.#hold(next.value)
    }
    return await this.#fetch(cid, options)
  }

  /** Inner nodes are asked for again by whoever opens what a path led to; leaves are not. */
  #keepNode({ cid, bytes }: Block): Uint8Array {
    if (cid.code !== RAW) this.#hold({ cid, bytes })
    return bytes
  }

  #hold({ cid, bytes }: Block): void {
    if (this.#heldBytes + bytes.length > HELD_BYTES) this.#forget()
    this.#held.set(cid.toString(), bytes)
    this.#heldBytes += bytes.length
  }

  #forget(): void {
    for (const [key, bytes] of this.#held) {
      if (this.#heldBytes <= HELD_BYTES / 2) return
      this.#held.delete(key)
      this.#heldBytes -= bytes.length
    }
  }

  async #fetch(cid: CID, { signal }: Abortable): Promise<Uint8Array> {
    const response = await request(`${this.#gateway}/ipfs/${cid.toString()}?format=raw`, RAW_TYPE, signal)
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (bytes.length > MAX_BLOCK_BYTES) throw new HoldfastError('BLOCK_TOO_LARGE', `${cid.toString()} is too large.`)
    verify(cid, bytes)
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#blocks.return?.()
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body !== null) yield* response.body
}

async function request(url: string, accept: string, signal: AbortSignal | undefined): Promise<Response> {
  const response = await fetch(url, { headers: { accept }, signal: signal ?? null }).catch((cause: unknown) => {
    signal?.throwIfAborted()
    throw new HoldfastError('UPSTREAM_FAILED', `The gateway ${new URL(url).origin} cannot be reached.`, { cause })
  })
  if (response.ok) return response
  const text = await response.text()
  const code = response.status === 404 || response.status === 410 ? 'NOT_FOUND' : 'UPSTREAM_FAILED'
  throw new HoldfastError(code, sentenceOf(text) ?? `The gateway answered ${response.status}.`)
}

function sentenceOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { details?: string } }).error?.details
  } catch {
    return undefined
  }
}
