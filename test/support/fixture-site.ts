import { after, before } from 'node:test'
import { ask, type Answered } from './gateway.ts'
import { openFixtureGateway, SUBDOMAINS } from './gateway-fixtures.ts'
import type { MemoryBlocks } from './dag.ts'

export interface FixtureSite {
  readonly blocks: MemoryBlocks
  readonly url: string
  /** An exchange with a host of the gateway. */
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Answered>
  /** The same on a subdomain of the subdomain gateway. */
  on(subdomain: string, path: string, headers?: Record<string, string>): Promise<Answered>
}

/** A gateway over all fixtures of the conformance suite, for the tests of one file. */
export function fixtureSite(): FixtureSite {
  let opened: Awaited<ReturnType<typeof openFixtureGateway>>
  before(async () => {
    opened = await openFixtureGateway()
  })
  after(() => opened[Symbol.asyncDispose]())
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answered> =>
    ask(opened.gateway.url, path, { method, headers })
  return {
    get blocks() {
      return opened.blocks
    },
    get url() {
      return opened.gateway.url
    },
    get,
    on: (subdomain, path, headers = {}) => get(path, { host: `${subdomain}.${SUBDOMAINS}`, ...headers }),
  }
}
