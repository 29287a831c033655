import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CID } from 'multiformats/cid'
import type { Block } from '../../services/dag/fetch-dag.ts'
import type { Request, Settings } from './plain-helia.ts'

/** A plain Helia node in another process. Disposing it ends the process. */
export interface PlainHelia extends AsyncDisposable {
  addresses: string[]
  addFile(options: { bytes: number; seed?: number; chunkBytes?: number }): Promise<CID>
  addDirectory(entries: number): Promise<CID>
  addCbor(links: CID[]): Promise<CID>
  /** Keeps blocks as they are, whatever they say and whether or not they match their CIDs. */
  offer(blocks: Iterable<Block>): Promise<void>
  /** The sha-256 of the file, in hexadecimal. */
  cat(cid: CID): Promise<string>
  connect(address: string): Promise<void>
  provide(cid: CID): Promise<void>
  drop(cid: CID): Promise<void>
  /** Publishes under the key of that label, which is made when there is none. Answers the name. */
  publishName(key: string, value: CID): Promise<string>
  /** The content path that the name leads to, as its routers say now. @throws when they know no record */
  resolveName(name: string): Promise<string>
  /** Ids of peers that it knows to be in a topic of PubSub. */
  topicMembers(topic: string): Promise<string[]>
}

const PROGRAM = fileURLToPath(new URL('plain-helia.ts', import.meta.url))

export async function spawnPlainHelia(options: Partial<Settings> = {}): Promise<PlainHelia> {
  const settings: Settings = { dhtProtocol: '/holdfast-test/kad/1.0.0', ...options }
  const child = fork(PROGRAM, [JSON.stringify(settings)])
  await once(child, 'message')
  const ask = asker(child)
  return {
    addresses: (await ask({ verb: 'addresses' })) as string[],
    addFile: async ({ bytes, seed = 1, chunkBytes = 262_144 }) =>
      CID.parse((await ask({ verb: 'addFile', bytes, seed, chunkBytes })) as string),
    addDirectory: async (entries) => CID.parse((await ask({ verb: 'addDirectory', entries })) as string),
    addCbor: async (links) => CID.parse((await ask({ verb: 'addCbor', links: links.map(String) })) as string),
    async offer(blocks) {
      const sent = Array.from(blocks, ({ cid, bytes }) => ({
        cid: cid.toString(),
        base64: Buffer.from(bytes).toString('base64'),
      }))
      await ask({ verb: 'offer', blocks: sent })
    },
    cat: async (cid) => (await ask({ verb: 'cat', cid: cid.toString() })) as string,
    connect: async (address) => void (await ask({ verb: 'connect', address })),
    provide: async (cid) => void (await ask({ verb: 'provide', cid: cid.toString() })),
    drop: async (cid) => void (await ask({ verb: 'drop', cid: cid.toString() })),
    publishName: async (key, value) => (await ask({ verb: 'publishName', key, value: value.toString() })) as string,
    resolveName: async (name) => (await ask({ verb: 'resolveName', name })) as string,
    topicMembers: async (topic) => (await ask({ verb: 'topicMembers', topic })) as string[],
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

function asker(child: ChildProcess): (request: Request) => Promise<unknown> {
  let lastId = 0
  const waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>()
  child.on('message', ({ id, answer, error }: { id: number; answer?: unknown; error?: string }) => {
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(answer)
    else caller?.reject(new Error(error))
  })
  return (request) => {
    lastId += 1
    child.send({ id: lastId, ...request })
    return new Promise((resolve, reject) => waiting.set(lastId, { resolve, reject }))
  }
}
