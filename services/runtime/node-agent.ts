import { Agent } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect } from 'node:tls'
import { HoldfastError } from '../core/errors.ts'
import { publicKeyOf, type NodeIdentity } from '../core/node-key.ts'
import { SECOND_MS } from '../core/units.ts'

/** Where a node listens and which key it must prove there. */
export interface NodeAddress {
  name: string
  /** `host:port` of its TLS listener. */
  transfer: string
  /** base64url of the Ed25519 key. */
  publicKey: string
}

const CONNECT_TIMEOUT_MS = 5 * SECOND_MS
const IDLE_CONNECTIONS = 8

/**
 * Connections to one node by TLS 1.3, on which each side proves its key. Certificates are signed by nobody: a connection
 * is good when the key in the other's certificate is the one it is known by, and no byte is sent before that is seen.
 */
export class NodeAgent extends Agent {
  readonly #node: NodeAddress
  readonly #identity: NodeIdentity

  constructor(node: NodeAddress, identity: NodeIdentity) {
    super({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS })
    this.#node = node
    this.#identity = identity
  }

  override createConnection(_options: unknown, done: (error: Error | null, socket?: Duplex) => void): undefined {
    const { host, port } = hostAndPort(this.#node.transfer)
    const socket = connect({
      host,
      port,
      key: this.#identity.keyPem,
      cert: this.#identity.certificatePem,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    })
    const fail = (cause: Error): void => {
      socket.destroy()
      done(new HoldfastError('NO_NODE_AVAILABLE', `The node ${this.#node.name} cannot be reached.`, { cause }))
    }
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => fail(new Error('connecting took too long')))
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      const key = certificate && publicKeyOf(certificate)
      if (key !== this.#node.publicKey) {
        fail(new Error(`it proves the key ${key}`))
        return
      }
      socket.off('error', fail)
      socket.setTimeout(0)
      done(null, socket)
    })
    return undefined
  }
}

function hostAndPort(address: string): { host: string; port: number } {
  const { hostname, port } = new URL(`https://${address}`)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port === '' ? 443 : port) }
}
