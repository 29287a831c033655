import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { openBlockStore } from '../../services/blocks/store.ts'
import { MIB } from '../../services/core/units.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferServer } from '../../services/transfer/server.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { storeFile, storeFiles } from '../transfer/nodes.ts'

/** What the benchmark tells this process. */
export interface HolderTask {
  folder: string
  /** The key that may copy. */
  reader: string
  fileBytes: number
  smallRoots: number
}

/** What it answers. */
export interface HolderReady {
  publicKey: string
  port: number
  /** Sends `fileBytes` to whoever connects. */
  rawPort: number
  root: string
  roots: string[]
}

/** The node that the transfer benchmark copies from, in a process of its own. */
const task = JSON.parse(process.argv[2] ?? '') as HolderTask
const store = await openBlockStore(join(task.folder, 'holder'))
const identity = await loadIdentity(join(task.folder, 'holder.pem'))
const bytes = seededBytes(1, task.fileBytes)
const file = await storeFile(store, bytes)
const small = Array.from({ length: task.smallRoots }, (_, index) => seededBytes(index, 1_000 + (index % 4_000)))
const roots = await storeFiles(store, small)
const directory = {
  node: () => undefined,
  roleOf: (key: string) => (key === task.reader ? ('node' as const) : undefined),
}
const server = await openTransferServer({ store, identity, directory, host: '127.0.0.1', port: 0 })
const raw = createServer((socket) => void sendAll(socket)).listen(0, '127.0.0.1')
await once(raw, 'listening')
const ready: HolderReady = {
  publicKey: identity.publicKey,
  port: server.port,
  rawPort: (raw.address() as AddressInfo).port,
  root: file.cid.toString(),
  roots: roots.map(({ cid }) => cid.toString()),
}
process.send?.(ready)
process.on('disconnect', () => process.exit())

async function sendAll(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  for (let at = 0; at < bytes.length; at += MIB) {
    if (!socket.write(bytes.subarray(at, at + MIB))) await once(socket, 'drain')
  }
  socket.end()
}
