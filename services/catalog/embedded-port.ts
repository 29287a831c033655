import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'

const LOOPBACK = '127.0.0.1'

/** The port that the file remembers, while nobody else has it; else a free one, which the file then remembers. */
export async function choosePort(file: string): Promise<number> {
  const last = Number(await readFile(file, 'utf8').catch(() => ''))
  if (last > 0 && (await isFree(last))) return last
  const port = await freePort()
  await writeFile(file, String(port))
  return port
}

async function freePort(): Promise<number> {
  await using server = createServer()
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, LOOPBACK, () => server.close(() => resolve(true)))
  })
}
