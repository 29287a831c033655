import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import type { GatewaySettings } from './settings.ts'

type PumpLimits = Pick<GatewaySettings, 'minBytesPerSecond' | 'writeBytes' | 'maxAnswerBytes'>

/**
 * Sends pieces at the pace at which the client takes them; at most twice `writeBytes` of one answer wait in the process
 * for a socket. The next piece is asked for when the one before is copied or with the kernel, and may be overwritten.
 * Resolves when the last byte is with the socket. The caller ends the response, or destroys it when this throws.
 * @throws what the pieces throw; TIMED_OUT for a client slower than the least rate; PAYLOAD_TOO_LARGE beyond
 *   `maxAnswerBytes`; AbortError when the client is gone
 */
export async function pumpBody(
  pieces: AsyncIterable<Uint8Array>,
  response: ServerResponse,
  limits: PumpLimits,
): Promise<void> {
  const outlet = new Outlet(response, limits)
  let sent = 0
  for await (const piece of pieces) {
    sent += piece.length
    if (sent > limits.maxAnswerBytes) {
      throw new HoldfastError('PAYLOAD_TOO_LARGE', `An answer may have at most ${limits.maxAnswerBytes} bytes.`)
    }
    if (piece.length < SMALL_BYTES) await outlet.collect(piece)
    else await outlet.write(piece)
  }
  outlet.flush()
}

/** Pieces below this are put together: a DAG of tiny blocks would cost a system call for each. */
const SMALL_BYTES = 16 * KIB

/** A response that takes pieces of any size. */
class Outlet {
  readonly #response: ServerResponse
  readonly #writeBytes: number
  /** Until one write must be with the kernel. */
  readonly #patienceMs: number
  #collected: Uint8Array[] = []
  #collectedBytes = 0

  constructor(response: ServerResponse, { writeBytes, minBytesPerSecond }: PumpLimits) {
    this.#response = response
    this.#writeBytes = writeBytes
    this.#patienceMs = (writeBytes / minBytesPerSecond) * SECOND_MS
  }

  /** Copies a small piece, to be written once others fill the write, or nothing came for one turn of the event loop. */
  async collect(piece: Uint8Array): Promise<void> {
    if (this.#collected.length === 0) setImmediate(() => this.flush())
    this.#collected.push(Buffer.from(piece))
    this.#collectedBytes += piece.length
    if (this.#collectedBytes < this.#writeBytes) return
    this.flush()
    if (this.#response.writableNeedDrain) await this.#settled('drain')
  }

  /** Writes a piece in parts that each have to be taken within the time that the least rate gives them. */
  async write(piece: Uint8Array): Promise<void> {
    this.#response.cork()
    this.flush()
    const first = this.#put(piece.subarray(0, this.#writeBytes))
    this.#response.uncork()
    await first
    for (let start = this.#writeBytes; start < piece.length; start += this.#writeBytes) {
      await this.#put(piece.subarray(start, start + this.#writeBytes))
    }
  }

  flush(): void {
    if (this.#collected.length === 0 || this.#response.destroyed) return
    this.#response.write(Buffer.concat(this.#collected))
    this.#collected = []
    this.#collectedBytes = 0
  }

  /** Resolves when the kernel has the bytes. */
  #put(bytes: Uint8Array): Promise<void> {
    return this.#settled((settle) => this.#response.write(bytes, (error) => settle(error ? clientGone() : undefined)))
  }

  #settled(begin: 'drain' | ((settle: (error?: Error) => void) => void)): Promise<void> {
    const response = this.#response
    return new Promise((resolve, reject) => {
      if (response.destroyed) {
        reject(clientGone())
        return
      }
      const timer = setTimeout(
        () => settle(new HoldfastError('TIMED_OUT', 'The client reads too slowly.')),
        this.#patienceMs,
      )
      const onDrain = (): void => settle()
      const onClose = (): void => settle(clientGone())
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        response.off('drain', onDrain).off('close', onClose)
        if (error === undefined) resolve()
        else reject(error)
      }
      response.once('close', onClose)
      if (begin === 'drain') response.once('drain', onDrain)
      else begin(settle)
    })
  }
}

export function clientGone(): Error {
  return new DOMException('The client closed the connection.', 'AbortError')
}
