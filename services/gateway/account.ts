import type { IncomingMessage, ServerResponse } from 'node:http'
import { hasCode } from '../core/errors.ts'
import type { Budgets, Payer } from './budgets.ts'
import { withoutPort } from './hosts.ts'
import type { Location } from './locate.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { GatewayRequest } from './request.ts'
import type { TrustedProxies } from './trusted-proxies.ts'
import { clientAddress } from './visitor.ts'

export interface AccountOptions {
  budgets: Budgets
  metrics: GatewayMetrics
  proxies: TrustedProxies
}

/** One exchange as metrics and budgets see it: opened when the request is there, closed when its answer has ended. */
export class Account {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #options: AccountOptions
  readonly #startedAt = performance.now()
  readonly #writtenBefore: number
  #payer: Payer = { address: undefined, host: undefined }
  #format = 'none'
  #hostClass = 'none'
  #firstByteMs: number | undefined
  #cutOff: { reason: unknown } | undefined

  constructor(request: IncomingMessage, response: ServerResponse, options: AccountOptions) {
    this.#request = request
    this.#response = response
    this.#options = options
    this.#writtenBefore = request.socket.bytesWritten
    options.metrics.began()
    response.once('close', () => this.#close())
  }

  /** It is known who asks, and under which host. @throws TOO_MANY_REQUESTS */
  located({ site }: Location): void {
    const { budgets, proxies } = this.#options
    const address = clientAddress(this.#request, proxies)
    this.#hostClass = site.class
    this.#payer = {
      address: proxies.trusts(address) ? undefined : address,
      host: withoutPort(site.host).toLowerCase(),
    }
    budgets.admit(this.#payer)
  }

  /** It is known what is asked for. */
  asked({ format }: GatewayRequest): void {
    this.#format = format
  }

  /** The content is a tenant's who lets this reader in. @throws TOO_MANY_REQUESTS */
  readonly paidBy = (tenant: number): void => {
    this.#payer = { ...this.#payer, tenant }
    this.#options.budgets.admit(this.#payer)
  }

  /** The first byte is there. Answers the value of `Server-Timing`. */
  answering(): string {
    this.#firstByteMs = performance.now() - this.#startedAt
    return `first-byte;dur=${this.#firstByteMs.toFixed(1)}`
  }

  /** The connection was reset, though the client was there. */
  cutOff(reason: unknown): void {
    this.#cutOff = { reason }
  }

  #close(): void {
    const { headersSent, statusCode } = this.#response
    const bytes = Math.max(0, this.#request.socket.bytesWritten - this.#writtenBefore)
    const status = headersSent ? statusCode : 0
    this.#options.budgets.charge(this.#payer, bytes)
    this.#options.metrics.ended({
      status,
      format: this.#format,
      hostClass: this.#hostClass,
      firstByteMs: this.#firstByteMs,
      bytes,
      isTruncated: this.#cutOff !== undefined,
      isTimeout: status === 504 || hasCode(this.#cutOff?.reason, 'TIMED_OUT'),
    })
  }
}
