import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { HoldfastError } from '../core/errors.ts'

/** What a reverse proxy says of the request that it passes on. */
export interface Forwarded {
  host: string | undefined
  scheme: 'http' | 'https' | undefined
}

const NOTHING: Forwarded = { host: undefined, scheme: undefined }

/** The addresses whose `X-Forwarded-` headers are believed; anybody else could claim to be on any host. */
export class TrustedProxies {
  readonly #addresses = new BlockList()

  /**
   * @param networks addresses and networks such as `10.0.0.0/8`
   * @throws CONFIG
   */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/')
      const family = isIP(address)
      if (family === 0) throw new HoldfastError('CONFIG', `A trusted proxy is an address or a network, not ${network}.`)
      this.#addresses.addSubnet(address, Number(bits ?? (family === 4 ? 32 : 128)), family === 4 ? 'ipv4' : 'ipv6')
    }
  }

  trusts(address: string | undefined): boolean {
    if (address === undefined) return false
    const plain = address.replace(/^::ffff:(?=\d+\.)/, '')
    return this.#addresses.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
  }

  /** What the headers say of the client's own request, when they come from a trusted proxy. */
  forwarded(address: string | undefined, headers: IncomingHttpHeaders): Forwarded {
    const host = first(headers['x-forwarded-host'])
    const scheme = first(headers['x-forwarded-proto'])?.toLowerCase()
    if ((host === undefined && scheme === undefined) || !this.trusts(address)) return NOTHING
    return { host, scheme: scheme === 'https' || scheme === 'http' ? scheme : undefined }
  }
}

/** The first of several is the one that the client's own proxy wrote. */
function first(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header
  return text?.split(',', 1)[0]?.trim() || undefined
}
