import { open, readFile, rename } from 'node:fs/promises'
import { Directory, type DirectoryNode } from '../core/sync.ts'
import type { PeerRole, TransferAddress, TransferDirectory } from '../transfer/directory.ts'

const NOBODY: Directory = { version: '', nodes: [], controllers: [] }

/**
 * Who is in the cluster, as the control plane last said it, kept in a file so that this node knows its neighbours when
 * it starts while the control plane is away.
 */
export class DirectoryFile implements TransferDirectory {
  readonly #file: string
  #directory: Directory = NOBODY
  #nodes: ReadonlyMap<string, DirectoryNode> = new Map()
  #roles: ReadonlyMap<string, PeerRole> = new Map()

  private constructor(file: string) {
    this.#file = file
  }

  /** Opens with what the file says; a file that is not there or cannot be read is as good as none. */
  static async open(file: string): Promise<DirectoryFile> {
    const directory = new DirectoryFile(file)
    directory.#use(await read(file))
    return directory
  }

  get current(): Directory {
    return this.#directory
  }

  node(name: string): TransferAddress | undefined {
    const node = this.#nodes.get(name)
    return node === undefined ? undefined : addressOf(node)
  }

  roleOf(publicKey: string): PeerRole | undefined {
    return this.#roles.get(publicKey)
  }

  /** Reads what another process of this node has written since. */
  async refresh(): Promise<void> {
    const directory = await read(this.#file)
    if (directory.version !== this.#directory.version && directory.version !== '') this.#use(directory)
  }

  /** Takes a new directory into use, then writes it. */
  async replace(directory: Directory): Promise<void> {
    this.#use(directory)
    await write(this.#file, JSON.stringify(directory))
  }

  #use(directory: Directory): void {
    this.#directory = directory
    this.#nodes = new Map(directory.nodes.map((node) => [node.name, node]))
    this.#roles = new Map([
      ...directory.controllers.map((key) => [key, 'controller'] as const),
      ...directory.nodes.map(({ publicKey }) => [publicKey, 'node'] as const),
    ])
  }
}

async function read(file: string): Promise<Directory> {
  try {
    return Directory.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return NOBODY
  }
}

/** Whole or not at all. */
async function write(file: string, text: string): Promise<void> {
  const draft = `${file}.new`
  await using handle = await open(draft, 'w', 0o600)
  await handle.writeFile(text)
  await handle.datasync()
  await rename(draft, file)
}

/** `host:port`, the host of an IPv6 address in brackets. */
function addressOf({ publicKey, transfer }: DirectoryNode): TransferAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(transfer)
  const host = match?.[1] ?? match?.[2]
  return host === undefined ? undefined : { publicKey, host, port: Number(match?.[3]) }
}
