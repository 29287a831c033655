import type { CID } from 'multiformats/cid'
import { base32 } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { toV1 } from '../core/cid.ts'
import type { GatewayHost } from '../core/gateway-host.ts'

/** RFC 1034: one label of a domain. */
const MAX_LABEL_CHARACTERS = 63
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|\[::1\])$/

/** Where browsers find content on a gateway. */
export class SiteUrls {
  readonly #gateway: URL
  /** Under which each site has an origin of its own; undefined: the gateway has none. */
  readonly #parent: string | undefined

  /** @param gateway URL under which readers reach it */
  constructor(gateway: string, hosts: readonly GatewayHost[]) {
    this.#gateway = new URL(gateway)
    const { host, hostname, port } = this.#gateway
    const isSubdomain = (name: string): boolean =>
      hosts.some((known) => known.class === 'subdomain' && known.host === name)
    if (isSubdomain(host) || isSubdomain(hostname)) this.#parent = host
    else if (LOOPBACK.test(hostname) && isSubdomain('localhost')) this.#parent = `localhost${port && `:${port}`}`
  }

  /** Another origin with each version: for a look before it is published. */
  ofContent(cid: CID): string {
    const v1 = toV1(cid)
    const text = v1.toString(base32)
    return this.#url('ipfs', text.length <= MAX_LABEL_CHARACTERS ? text : v1.toString(base36))
  }

  /** The same origin over all versions, so that what browsers store for it stays. */
  ofName(name: string): string {
    return this.#url('ipns', name)
  }

  #url(namespace: 'ipfs' | 'ipns', id: string): string {
    if (this.#parent === undefined || id.length > MAX_LABEL_CHARACTERS) {
      return new URL(`${this.#gateway.href.replace(/\/$/, '')}/${namespace}/${id}/`).href
    }
    return `${this.#gateway.protocol}//${id}.${namespace}.${this.#parent}/`
  }
}
