import { HoldfastError, type ErrorCode } from '../core/errors.ts'
import { KIB } from '../core/units.ts'
import type { Connection } from './connection.ts'
import type { ResponseHead } from './response-head.ts'

const MAX_FAILURE_BYTES = 16 * KIB

/** One answer being read. Disposing gives the connection back for the next call, or ends it when the answer was not read whole. */
export class Exchange implements Disposable {
  readonly head: ResponseHead
  readonly #connection: Connection
  readonly #giveBack: (connection: Connection) => void
  readonly #guards: DisposableStack
  #left: number

  constructor(
    connection: Connection,
    head: ResponseHead,
    guards: DisposableStack,
    giveBack: (connection: Connection) => void,
  ) {
    this.#connection = connection
    this.head = head
    this.#guards = guards
    this.#giveBack = giveBack
    this.#left = head.length
  }

  /** Bytes of the body that were not taken. */
  get left(): number {
    return this.#left
  }

  /**
   * Waits for the next bytes of the body and shows them without taking them.
   * @throws UPSTREAM_FAILED when the body is shorter or the connection ends; TIMED_OUT
   */
  async peek(length: number): Promise<Uint8Array> {
    if (length > this.#left) throw new HoldfastError('UPSTREAM_FAILED', 'A node announced less than it began to send.')
    await this.#connection.fill(length)
    return this.#connection.peek().subarray(0, length)
  }

  /**
   * The next bytes of the body: a view that is good until more is taken.
   * @throws as {@link peek}
   */
  async take(length: number): Promise<Uint8Array> {
    await this.peek(length)
    this.#left -= length
    return this.#connection.take(length)
  }

  /**
   * The whole body, to be kept.
   * @throws UPSTREAM_FAILED when it is longer than `maxBytes`, and as {@link peek}
   */
  async body(maxBytes: number): Promise<Uint8Array> {
    if (this.#left > maxBytes)
      throw new HoldfastError('UPSTREAM_FAILED', 'A node sent a longer answer than there can be.')
    return Uint8Array.from(await this.take(this.#left))
  }

  /** The failure that an answer other than 200 tells of. */
  async failure(): Promise<HoldfastError> {
    const { status } = this.head
    const text = Buffer.from(await this.body(MAX_FAILURE_BYTES)).toString('utf8')
    const code = CODE_OF[status] ?? 'UPSTREAM_FAILED'
    return new HoldfastError(code, `A node answered ${status}: ${text.slice(0, 300)}`)
  }

  [Symbol.dispose](): void {
    this.#guards.dispose()
    if (this.#left > 0) this.#connection.destroy()
    this.#giveBack(this.#connection)
  }
}

const CODE_OF: Readonly<Record<number, ErrorCode>> = { 404: 'NOT_FOUND', 503: 'UNAVAILABLE' }
