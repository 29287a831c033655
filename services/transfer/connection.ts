import type { OnReadOpts } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { HoldfastError } from '../core/errors.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import { MAX_CAR_SECTION_BYTES, MAX_HEADER_BYTES } from '../core/limits.ts'
import type { TransferAddress } from './directory.ts'
import { ReceiveBuffer } from './receive-buffer.ts'
import { endOfHead, parseHead, type ResponseHead } from './response-head.ts'
import { provenKey, tlsOptions } from './tls.ts'

export interface ConnectionLimits {
  /** Until the TLS handshake is done. */
  connectMs: number
  /** An answer that is awaited and comes slower than `minBytesPerSecond` for this long is given up. */
  stallMs: number
  minBytesPerSecond: number
}

/** The socket stops reading while this much waits to be taken: one section of the largest kind, and some. */
const HIGH_WATER_BYTES = 2 * MAX_CAR_SECTION_BYTES
const TICKS_PER_STALL = 4

/**
 * One TLS connection to a node, over which HTTP/1.1 requests go one after the other. Answers are read straight from
 * {@link ReceiveBuffer}; nothing is read ahead beyond {@link HIGH_WATER_BYTES} (and what TLS had decrypted by then).
 */
export class Connection {
  readonly address: TransferAddress
  readonly #socket: TLSSocket
  readonly #limits: ConnectionLimits
  readonly #buffer = new ReceiveBuffer()
  /** The largest piece that the reader waits for; 0 while it does not wait. */
  #wanted = 0
  #paused = false
  #received = 0
  #isSecure = false
  #failure: Error | undefined
  #wake: () => void = () => {}

  private constructor(address: TransferAddress, identity: NodeIdentity, limits: ConnectionLimits) {
    this.address = address
    this.#limits = limits
    const onread: OnReadOpts = {
      buffer: () => this.#buffer.room(),
      callback: (length) => this.#onBytes(length),
    }
    const options: ConnectionOptions & { onread: OnReadOpts } = {
      host: address.host,
      port: address.port,
      ...tlsOptions(identity),
      // The key is compared below; a self-signed certificate has no authority to be checked with.
      rejectUnauthorized: false,
      onread,
    }
    this.#socket = connect(options)
    this.#socket.setNoDelay(true)
    this.#socket.on('error', (cause) =>
      this.#fail('UPSTREAM_FAILED', `The connection failed: ${cause.message}.`, cause),
    )
    this.#socket.on('end', () => this.#fail('UPSTREAM_FAILED', 'The node closed the connection.'))
    this.#socket.on('close', () => this.#fail('UPSTREAM_FAILED', 'The node closed the connection.'))
  }

  /**
   * @throws UPSTREAM_FAILED when it cannot be reached or does not prove to hold the key of the directory; TIMED_OUT;
   *   the signal's reason
   */
  static async open(
    address: TransferAddress,
    identity: NodeIdentity,
    limits: ConnectionLimits,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    signal?.throwIfAborted()
    const connection = new Connection(address, identity, limits)
    const timer = setTimeout(() => connection.#fail('TIMED_OUT', 'The node did not connect in time.'), limits.connectMs)
    using _ = connection.abortedBy(signal)
    try {
      await connection.#secured()
    } finally {
      clearTimeout(timer)
    }
    signal?.throwIfAborted()
    return connection
  }

  /** Whether another request may be sent. */
  get isOpen(): boolean {
    return this.#failure === undefined && this.#buffer.available === 0
  }

  /** Bytes that have come since the connection was made. */
  get received(): number {
    return this.#received
  }

  /** Ends the connection when the signal is aborted, until disposed; what waits for it fails with the signal's reason. */
  abortedBy(signal: AbortSignal | undefined): Disposable {
    const onAbort = (): void => void this.#end(signal?.reason as Error)
    signal?.addEventListener('abort', onAbort)
    return { [Symbol.dispose]: () => signal?.removeEventListener('abort', onAbort) }
  }

  /**
   * Sends a request and waits for the head of its answer; the body is to be taken whole before the next one.
   * @throws UPSTREAM_FAILED, TIMED_OUT
   */
  async request(method: string, path: string, body: Uint8Array): Promise<ResponseHead> {
    const head = `${method} ${path} HTTP/1.1\r\nhost: node\r\ncontent-length: ${body.length}\r\n\r\n`
    this.#socket.cork()
    this.#socket.write(head, 'latin1')
    if (body.length > 0) this.#socket.write(body)
    this.#socket.uncork()
    for (;;) {
      const end = endOfHead(this.#buffer.peek())
      if (end !== undefined) return parseHead(this.#buffer.take(end))
      if (this.#buffer.available > MAX_HEADER_BYTES) {
        throw this.#fail('UPSTREAM_FAILED', 'A node answered with a head without end.')
      }
      await this.fill(this.#buffer.available + 1)
    }
  }

  /**
   * Waits until that many bytes can be taken.
   * @throws UPSTREAM_FAILED when the connection ends before; TIMED_OUT when they come too slowly
   */
  async fill(length: number): Promise<void> {
    while (this.#buffer.available < length) {
      if (this.#failure !== undefined) throw this.#failure
      this.#wanted = length
      this.#readOn()
      await this.#event()
    }
    this.#wanted = 0
  }

  /** What has arrived, without taking it. */
  peek(): Uint8Array {
    return this.#buffer.peek()
  }

  take(length: number): Uint8Array {
    const piece = this.#buffer.take(length)
    this.#readOn()
    return piece
  }

  destroy(): void {
    this.#fail('UPSTREAM_FAILED', 'The connection was ended here.')
  }

  async #secured(): Promise<void> {
    this.#socket.once('secureConnect', () => {
      this.#isSecure = true
      this.#wake()
    })
    while (!this.#isSecure) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#event()
    }
    if (provenKey(this.#socket) !== this.address.publicKey) {
      throw this.#fail('UPSTREAM_FAILED', 'The node there does not hold the key that the directory names.')
    }
  }

  #onBytes(length: number): boolean {
    this.#buffer.filled(length)
    this.#received += length
    if (this.#buffer.available >= this.#wanted) this.#wake()
    this.#paused = this.#buffer.available >= Math.max(HIGH_WATER_BYTES, this.#wanted)
    return !this.#paused
  }

  #readOn(): void {
    if (!this.#paused || this.#buffer.available >= Math.max(HIGH_WATER_BYTES / 2, this.#wanted)) return
    this.#paused = false
    this.#socket.resume()
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Gives the connection up when bytes that are waited for come too slowly, until disposed. */
  watchRate(): Disposable {
    const { stallMs, minBytesPerSecond } = this.#limits
    const tickMs = stallMs / TICKS_PER_STALL
    let slowTicks = 0
    let before = this.#received
    const timer = setInterval(() => {
      const isSlow = (this.#received - before) * 1_000 < minBytesPerSecond * tickMs
      // While the reader does other things, nothing can be said about the sender.
      slowTicks = isSlow && this.#wanted > 0 ? slowTicks + 1 : 0
      before = this.#received
      if (slowTicks >= TICKS_PER_STALL) this.#fail('TIMED_OUT', `The node sent next to nothing for ${stallMs} ms.`)
    }, tickMs)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }

  #fail(code: 'UPSTREAM_FAILED' | 'TIMED_OUT', message: string, cause?: unknown): Error {
    return this.#end(new HoldfastError(code, message, { cause }))
  }

  /** Answers why it ended first. */
  #end(failure: Error): Error {
    this.#failure ??= failure
    this.#socket.destroy()
    this.#wake()
    return this.#failure
  }
}
