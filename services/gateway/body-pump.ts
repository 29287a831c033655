import type { ServerResponse } from 'node:http'
import { HoldfastError } from '../core/errors.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import type { GatewaySettings } from './settings.ts'

type PumpLimits = Pick<GatewaySettings, 'minBytesPerSecond' | 'writeBytes' | 'maxAnswerBytes'>

/**
 * Sends pieces at the pace at which the client takes them; at most twice `writeBytes` of one answer wait in the process
 * for a socket. Resolves when the last byte is with the socket. The caller ends the response, or destroys it when this
 * throws.
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
  readonly #limits: PumpLimits
  #collected: Uint8Array[] = []
  #collectedBytes = 0

  constructor(response: ServerResponse, limits: PumpLimits) {
    this.#response = response
    this.#limits = limits
  }

  /** Keeps a small piece until others fill the write, or until nothing came for one turn of the event loop. */
  async collect(piece: Uint8Array): Promise<void> {
    if (this.#collected.length === 0) setImmediate(() => this.flush())
    this.#collected.push(piece)
    this.#collectedBytes += piece.length
    if (this.#collectedBytes < this.#limits.writeBytes) return
    this.flush()
    await this.#drained()
  }

  /** Writes a piece in parts that each have to drain within the time that the least rate gives them. */
  async write(piece: Uint8Array): Promise<void> {
    const { writeBytes } = this.#limits
    this.#response.cork()
    this.flush()
    this.#put(piece.subarray(0, writeBytes))
    this.#response.uncork()
    await this.#drained()
    for (let start = writeBytes; start < piece.length; start += writeBytes) {
      this.#put(piece.subarray(start, start + writeBytes))
      await this.#drained()
    }
  }

  flush(): void {
    if (this.#collected.length === 0 || this.#response.destroyed) return
    this.#put(Buffer.concat(this.#collected))
    this.#collected = []
    this.#collectedBytes = 0
  }

  #put(bytes: Uint8Array): void {
    if (this.#response.destroyed) throw clientGone()
    this.#response.write(bytes)
  }

  async #drained(): Promise<void> {
    if (!this.#response.writableNeedDrain) return
    const { writeBytes, minBytesPerSecond } = this.#limits
    await drained(this.#response, (writeBytes / minBytesPerSecond) * SECOND_MS)
  }
}

function drained(response: ServerResponse, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(new HoldfastError('TIMED_OUT', 'The client reads too slowly.')), deadlineMs)
    const onDrain = (): void => settle()
    const onClose = (): void => settle(clientGone())
    const settle = (error?: Error): void => {
      clearTimeout(timer)
      response.off('drain', onDrain).off('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    response.once('drain', onDrain).once('close', onClose)
  })
}

export function clientGone(): Error {
  return new DOMException('The client closed the connection.', 'AbortError')
}
