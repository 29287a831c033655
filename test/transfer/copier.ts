import { openBlockStore } from '../../services/blocks/store.ts'
import { parseCid } from '../../services/core/cid.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferClient } from '../../services/transfer/client.ts'
import type { TransferAddress } from '../../services/transfer/directory.ts'
import { replicate } from '../../services/transfer/replicate.ts'

/** What the test tells this process. */
export interface CopierTask {
  folder: string
  keyFile: string
  root: string
  source: TransferAddress
}

/** A node's copying in a process of its own, that a test can kill: tells its progress in bytes, a line each. */
const task = JSON.parse(process.argv[2] ?? '') as CopierTask
const store = await openBlockStore(task.folder)
const directory = { node: () => task.source, roleOf: () => undefined }
const client = openTransferClient({ identity: await loadIdentity(task.keyFile), directory })
await replicate({
  root: parseCid(task.root),
  sources: ['source'],
  store,
  client,
  maxBytes: Number.MAX_SAFE_INTEGER,
  signal: new AbortController().signal,
  onProgress: ({ bytes }) => process.stdout.write(`${bytes}\n`),
})
