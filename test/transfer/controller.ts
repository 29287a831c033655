import { request } from 'node:https'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { NodeIdentity } from '../../services/core/node-key.ts'
import { NO_RULES } from '../../services/core/rules-in-force.ts'
import { intake } from '../../services/node/intake.ts'
import type { Intaken } from '../../services/node/intake.ts'
import { tlsOptions } from '../../services/transfer/tls.ts'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openTransferServer } from '../../services/transfer/server.ts'
import { openLog } from '../../services/runtime/log.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { join } from 'node:path'
import { Nodes } from './nodes.ts'

export interface Answer {
  status: number
  body: Intaken & { error?: { reason: string; details: string } }
}

export type Body = Uint8Array | string | AsyncIterable<Uint8Array | string>

/** A node's intake, and a controller that sends to it. */
export class Intake implements AsyncDisposable {
  readonly nodes: Nodes
  readonly store: BlockStore
  readonly port: number
  readonly #controller: NodeIdentity

  private constructor(nodes: Nodes, store: BlockStore, port: number, controller: NodeIdentity) {
    this.nodes = nodes
    this.store = store
    this.port = port
    this.#controller = controller
  }

  static async open(options: { maxParts?: number } = {}): Promise<Intake> {
    const nodes = await Nodes.open()
    const store = nodes.use(await openBlockStore(join(nodes.folder, 'intake')))
    const [identity, controller] = await Promise.all([nodes.identity('intake'), nodes.identity('controller')])
    nodes.directory.roles.set(controller.publicKey, 'controller')
    const routes = [intake({ store, rules: NO_RULES, log: openLog('silent', {}), epoch: () => 7, ...options })]
    const listen = { store, identity, directory: nodes.directory, host: '127.0.0.1', port: 0, routes }
    const server = nodes.use(await openTransferServer(listen))
    return new Intake(nodes, store, server.port, controller)
  }

  /** Opens a request without a body yet. */
  request(query: string, headers: Record<string, string | number> = {}): ReturnType<typeof request> {
    return request({
      host: '127.0.0.1',
      port: this.port,
      ...tlsOptions(this.#controller),
      rejectUnauthorized: false,
      agent: false,
      method: 'POST',
      path: query.includes('maxBytes=') ? `/intake?${query}` : `/intake?${query}&maxBytes=1000000000`,
      headers,
    })
  }

  async send(query: string, body: Body, headers: Record<string, string | number> = {}): Promise<Answer> {
    const sent = this.request(query, headers).setMaxListeners(0)
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>
    sent.on('error', () => {})
    if (typeof body === 'string' || body instanceof Uint8Array) {
      sent.end(body)
    } else {
      for await (const chunk of body) {
        if (sent.destroyed) break
        if (!sent.write(chunk)) await Promise.race([once(sent, 'drain'), once(sent, 'close'), answered])
      }
      sent.end()
    }
    const [response] = await answered
    const text = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString()
    return { status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nodes[Symbol.asyncDispose]()
  }
}

export interface FormPart {
  filename?: string
  name?: string
  type?: string
  content?: string | Uint8Array
  /** Instead of the usual Content-Disposition; empty: none. */
  disposition?: string
}

export const BOUNDARY = 'the-boundary'
export const FORM = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }

export function form(parts: readonly FormPart[], { end = `--${BOUNDARY}--\r\n` } = {}): Buffer {
  return Buffer.concat([...parts.map(partBytes), Buffer.from(end)])
}

function partBytes({
  filename,
  name = 'file',
  type = 'application/octet-stream',
  content = '',
  disposition,
}: FormPart): Buffer {
  const usual = `form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`
  const said = disposition ?? usual
  const line = said === '' ? '' : `Content-Disposition: ${said}\r\n`
  const head = `--${BOUNDARY}\r\n${line}Content-Type: ${type}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(content), Buffer.from('\r\n')])
}
