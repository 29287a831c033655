import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { sealUnder } from '../../services/catalog/sealed-secret.ts'

/** The transit engine of Vault, as far as its API encrypts and decrypts, with a key of AES-256-GCM. */
export interface Transit extends AsyncDisposable {
  /** `vault+http://…/team/transit/holdfast` */
  setting: string
  token: string
  /** Calls that were answered 200. */
  calls: string[]
  /** 503: it is sealed. */
  status: number
}

export async function startTransit(): Promise<Transit> {
  const seal = sealUnder(randomBytes(32))
  const server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const transit: Transit = {
    setting: `vault+http://127.0.0.1:${port}/team/transit/holdfast?namespace=storage`,
    token: 'hvs.first',
    calls: [],
    status: 200,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as Record<string, string>
    const { status, answer } = judge(request, body)
    if (status === 200) transit.calls.push(request.url ?? '')
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  function judge({ url, headers }: IncomingMessage, body: Record<string, string>): { status: number; answer: object } {
    if (transit.status !== 200) return { status: transit.status, answer: { errors: ['Vault is sealed'] } }
    if (headers['x-vault-token'] !== transit.token || headers['x-vault-namespace'] !== 'storage') {
      return { status: 403, answer: { errors: ['permission denied'] } }
    }
    const about = body['associated_data'] ?? ''
    const [verb] = /(?<=^\/v1\/team\/transit\/)(en|de)crypt(?=\/holdfast$)/.exec(url ?? '') ?? []
    try {
      if (verb === 'encrypt') {
        const sealed = seal.close(Buffer.from(body['plaintext'] ?? '', 'base64'), about)
        return { status: 200, answer: { data: { ciphertext: `vault:v1:${sealed.toString('base64')}` } } }
      }
      if (verb === 'decrypt') {
        const sealed = Buffer.from((body['ciphertext'] ?? '').replace('vault:v1:', ''), 'base64')
        return { status: 200, answer: { data: { plaintext: seal.open(sealed, about).toString('base64') } } }
      }
      return { status: 404, answer: { errors: [] } }
    } catch {
      return { status: 400, answer: { errors: ['cipher: message authentication failed'] } }
    }
  }
  return transit
}
