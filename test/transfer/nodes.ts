import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockReader, BlockStore, StoredRoot } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import type { NodeIdentity } from '../../services/core/node-key.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferClient, type TransferClient, type TransferClientOptions } from '../../services/transfer/client.ts'
import type { PeerRole, TransferAddress, TransferDirectory } from '../../services/transfer/directory.ts'
import { replicate, type ReplicateOptions } from '../../services/transfer/replicate.ts'
import { openTransferServer, type TransferServer, type TransferServerOptions } from '../../services/transfer/server.ts'

/** A directory that the test fills. */
export class TestDirectory implements TransferDirectory {
  readonly nodes = new Map<string, TransferAddress>()
  readonly roles = new Map<string, PeerRole>()

  node(name: string): TransferAddress | undefined {
    return this.nodes.get(name)
  }

  roleOf(publicKey: string): PeerRole | undefined {
    return this.roles.get(publicKey)
  }
}

export interface TestNode {
  name: string
  identity: NodeIdentity
  store: BlockStore
  server: TransferServer
  client: TransferClient
}

export interface TestNodeOptions {
  server?: Partial<TransferServerOptions>
  client?: Partial<TransferClientOptions>
  /** What the server serves instead of the store. */
  serves?: (store: BlockStore) => BlockReader
}

/** Nodes with real stores and servers on loopback, in a folder that goes with them. */
export class Nodes implements AsyncDisposable {
  readonly folder: string
  readonly directory = new TestDirectory()
  readonly #opened = new AsyncDisposableStack()

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<Nodes> {
    const nodes = new Nodes(await mkdtemp(join(tmpdir(), 'holdfast-transfer-')))
    nodes.#opened.defer(() => rm(nodes.folder, { recursive: true, force: true }))
    return nodes
  }

  identity(name: string): Promise<NodeIdentity> {
    return loadIdentity(join(this.folder, `${name}.pem`))
  }

  async add(name: string, options: TestNodeOptions = {}): Promise<TestNode> {
    const { directory } = this
    const identity = await this.identity(name)
    const store = this.#opened.use(await openBlockStore(join(this.folder, name)))
    const client = this.#opened.use(openTransferClient({ identity, directory, ...options.client }))
    const served = options.serves?.(store) ?? store
    const listen = { store: served, identity, directory, host: '127.0.0.1', port: 0 }
    const server = this.#opened.use(await openTransferServer({ ...listen, ...options.server }))
    directory.nodes.set(name, { publicKey: identity.publicKey, host: '127.0.0.1', port: server.port })
    directory.roles.set(identity.publicKey, 'node')
    return { name, identity, store, server, client }
  }

  use<T extends Disposable | AsyncDisposable>(value: T): T {
    return this.#opened.use(value)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync()
  }
}

export async function storeFile(store: BlockStore, bytes: Uint8Array): Promise<StoredRoot> {
  await using batch = store.openBatch()
  const { root, manifest } = await addFile(chunks(bytes), batch)
  return await batch.commitRoot(root, manifest)
}

/** Many files by one batch; each is a root. */
export async function storeFiles(store: BlockStore, contents: readonly Uint8Array[]): Promise<StoredRoot[]> {
  await using batch = store.openBatch()
  const added = await Promise.all(contents.map((bytes) => addFile(chunks(bytes), batch)))
  return await Promise.all(added.map(({ root, manifest }) => batch.commitRoot(root, manifest)))
}

export async function* chunks(bytes: Uint8Array, chunkBytes = 1_048_576): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

/** Copies a root to a node, with what tests do not care for filled in. */
export function copy(
  to: TestNode,
  root: CID,
  sources: readonly string[],
  options: Partial<ReplicateOptions> = {},
): Promise<StoredRoot> {
  const { store, client } = to
  const signal = new AbortController().signal
  return replicate({ root, sources, store, client, signal, maxBytes: Number.MAX_SAFE_INTEGER, ...options })
}

/** The store with some of its answers replaced. */
export function lying(store: BlockStore, lies: Partial<BlockReader>): BlockReader {
  return {
    get: (cid, options) => store.get(cid, options),
    has: (cid) => store.has(cid),
    sizeOf: (cid) => store.sizeOf(cid),
    countOf: (cid) => store.countOf(cid),
    root: (cid) => store.root(cid),
    roots: (after) => store.roots(after),
    manifest: (root, from, to) => store.manifest(root, from, to),
    sections: (cids, options) => store.sections(cids, options),
    space: () => store.space(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
    ...lies,
  }
}

/** A client that counts what it got from each node. */
export function counting(client: TransferClient): { client: TransferClient; bytesFrom: Map<string, number> } {
  const bytesFrom = new Map<string, number>()
  const count = (node: string, bytes: number): void => void bytesFrom.set(node, (bytesFrom.get(node) ?? 0) + bytes)
  return {
    bytesFrom,
    client: {
      ...client,
      async block(node, cid, options) {
        const bytes = await client.block(node, cid, options)
        count(node, bytes?.length ?? 0)
        return bytes
      },
      async *blocks(node, cids, options) {
        for await (const block of client.blocks(node, cids, options)) {
          count(node, block.bytes.length)
          yield block
        }
      },
    },
  }
}

/** Asserts nothing; answers whether every block of the root reads back right. */
export async function isWhole(store: BlockStore, root: CID): Promise<boolean> {
  const check = await store.verifyRoot(root)
  return check?.bad.length === 0
}
