import { SERVER_VARIABLE, startTestServer, type TestServer } from './postgres.ts'

/** `node --test --test-global-setup=test/support/setup.ts`: one database server for all test files of a run. */
let server: TestServer | undefined

export async function globalSetup(): Promise<void> {
  server = await startTestServer()
  process.env[SERVER_VARIABLE] = server.url
}

export async function globalTeardown(): Promise<void> {
  await server?.[Symbol.asyncDispose]()
}
