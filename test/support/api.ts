import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApi, type ApiLimits, type Api } from '../../services/api/api.ts'
import { createAuthenticator } from '../../services/catalog/authenticator.ts'
import { masterKeyOf, type MasterKeys } from '../../services/catalog/master-key.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { sealWith } from '../../services/catalog/sealed-secret.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { createToken, makeToken } from '../../services/catalog/tokens.ts'
import { openWakes, type Wakes } from '../../services/catalog/wake.ts'
import type { NodeIdentity } from '../../services/core/node-key.ts'
import type { AnchorKind } from '../../services/core/proof/proof-file.ts'
import type { Signer } from '../../services/core/proof/typed-data.ts'
import type { Scope } from '../../services/core/scopes.ts'
import type { EnsLookup } from '../../services/naming/ens-link.ts'
import type { TxtLookup } from '../../services/naming/dnslink.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import type { Log } from '../../services/runtime/log.ts'
import type { Listening } from '../../services/runtime/http/server.ts'
import { freshDatabase, type FreshDatabase } from './postgres.ts'
import { memoryLog, serve } from './web.ts'

export interface Call {
  /** Sent as JSON, unless it is text, bytes or a form. */
  body?: unknown
  headers?: Record<string, string>
  /** The first tenant's full token when undefined. */
  token?: string
}

/** Wraps the keys of accounts in tests. */
export const TEST_MASTER_KEY = Buffer.alloc(32, 7)

export interface TestApiOptions {
  /** Stays open; one of its own when undefined. */
  db?: FreshDatabase
  gateLimits?: Partial<ApiLimits>
  /** DNS that sites' domains are looked up in; none when undefined. */
  lookUpTxt?: TxtLookup
  /** The chain that names of ENS are looked up in; none when undefined. */
  lookUpEns?: EnsLookup
  /** Signs proofs and reports; none when undefined. */
  signer?: Signer
  anchorKinds?: readonly AnchorKind[]
  /** Whether collections can be verified. */
  readsChain?: boolean
  eventHeartbeatMs?: number
  masters?: MasterKeys
  log?: Log
}

/** The API on a real server over a database of its own, with two tenants that have all scopes. */
export class TestApi implements AsyncDisposable {
  readonly db: FreshDatabase
  readonly wakes: Wakes
  readonly api: Api
  readonly url: string
  readonly identity: NodeIdentity
  readonly tenantId: number
  readonly token: string
  readonly otherToken: string
  readonly #stack: AsyncDisposableStack

  constructor(
    parts: Pick<TestApi, 'db' | 'wakes' | 'api' | 'identity' | 'tenantId' | 'token' | 'otherToken'>,
    server: Listening,
    stack: AsyncDisposableStack,
  ) {
    this.db = parts.db
    this.wakes = parts.wakes
    this.api = parts.api
    this.identity = parts.identity
    this.tenantId = parts.tenantId
    this.token = parts.token
    this.otherToken = parts.otherToken
    this.url = server.url
    this.#stack = stack
  }

  send(method: string, path: string, { body, headers = {}, token = this.token }: Call = {}): Promise<Response> {
    const isRaw =
      typeof body === 'string' ||
      body instanceof Uint8Array ||
      body instanceof FormData ||
      body instanceof ReadableStream
    const type = body === undefined || isRaw ? {} : { 'Content-Type': 'application/json' }
    const init: RequestInit & { duplex?: 'half' } = {
      method,
      headers: { Authorization: `Bearer ${token}`, ...type, ...headers },
    }
    if (body !== undefined) init.body = isRaw ? (body as string) : JSON.stringify(body)
    if (body instanceof ReadableStream) init.duplex = 'half'
    return fetch(this.url + path, init)
  }

  /** The JSON of an answer that is a success. */
  async json<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const response = await this.send(method, path, call)
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    return JSON.parse(text) as T
  }

  async tokenWith(...scopes: Scope[]): Promise<string> {
    return (await createToken(this.db, this.tenantId, { name: scopes.join(' '), scopes })).token
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

export async function openTestApi({
  db: given,
  gateLimits = {},
  lookUpTxt,
  lookUpEns,
  readsChain = false,
  signer,
  anchorKinds = ['none'],
  eventHeartbeatMs,
  masters = [masterKeyOf(TEST_MASTER_KEY)],
  log = memoryLog().log,
}: TestApiOptions = {}): Promise<TestApi> {
  await using opening = new AsyncDisposableStack()
  const db = given ?? opening.use(await freshDatabase())
  const wakes = opening.use(openWakes(db))
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-api-'))
  opening.defer(() => rm(folder, { recursive: true }))
  const identity = await loadIdentity(join(folder, 'controller.pem'))
  await ensureDefaultPolicy(db)
  const [token, otherToken] = [makeToken(), makeToken()]
  const tenantId = await ensureTenant(db, 'first', token)
  await ensureTenant(db, 'second', otherToken)
  const acceptor = createPinAcceptor(db, wakes)
  const authenticator = createAuthenticator(db, wakes)
  const api = opening.use(
    createApi({
      db,
      wakes,
      acceptor,
      authenticator,
      identity,
      seal: sealWith('test'),
      masters,
      links: { staticLinks: new Map(), ...(lookUpTxt && { lookUpTxt }), ...(lookUpEns && { lookUpEns }) },
      readsChain,
      signer,
      anchorKinds,
      allowsLoopbackWebhooks: true,
      ...(eventHeartbeatMs !== undefined && { eventHeartbeatMs }),
      gatewayHosts: [{ host: 'localhost', class: 'subdomain' }],
      log,
      limits: gateLimits,
    }),
  )
  const server = opening.use(await serve([], { doors: [api.door], log, crossOrigin: true }))
  return new TestApi({ db, wakes, api, identity, tenantId, token, otherToken }, server, opening.move())
}
