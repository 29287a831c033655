import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import type { Cluster } from './cluster.ts'
import { until } from './until.ts'

const PROGRAM = resolve(import.meta.dirname, '../../services/main.ts')

export interface SecondControl extends AsyncDisposable {
  url: string
  pid: number
}

/** Another control plane over the cluster's database, with an API of its own. */
export async function startSecondControl(
  { folder, ready }: Cluster,
  settings: Record<string, string> = {},
): Promise<SecondControl> {
  const secret = async (name: string): Promise<string> => (await readFile(join(folder, name), 'utf8')).trim()
  const port = await freePort()
  const child = spawn(process.execPath, [PROGRAM], {
    env: {
      PATH: process.env['PATH'],
      HOLDFAST_ROLES: 'control',
      HOLDFAST_DATA: join(folder, 'control-2'),
      HOLDFAST_API_PORT: String(port),
      ...settings,
      DATABASE_URL: ready.database,
      HOLDFAST_TOKEN: ready.token,
      HOLDFAST_JOIN_TOKEN: await secret('join-token'),
      HOLDFAST_SECRETS_KEY: await secret('secrets-key'),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.pipe(createWriteStream(join(folder, 'logs', 'control-2.log')))
  const url = `http://127.0.0.1:${port}`
  await until('a second control plane', async () => (await fetch(`${url}/readyz`)).ok, 60_000)
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
