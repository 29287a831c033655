import { createWriteStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CID } from 'multiformats/cid'
import { parseCid } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { MAX_PATH_SEGMENTS } from '../core/limits.ts'
import { listDirectory } from '../dag/list-directory.ts'
import { unixfsNode } from '../dag/node.ts'
import { readFile } from '../dag/read-file.ts'
import { readBlock } from '../dag/read-block.ts'
import { resolve } from '../dag/resolve.ts'
import { textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts'
import { GatewaySource } from './gateway-source.ts'
import { note, print } from './output.ts'
import { bareCid } from './pin-view.ts'
import { only } from './pins.ts'
import { ProgressLine } from './progress.ts'

export const get: Command = {
  name: 'get',
  operands: '<cid[/path] | ipfs://…>',
  summary: 'Read content back from a gateway, checking every block',
  options: { output: { type: 'string', short: 'o' } },
  async run(invocation) {
    const [root = '', ...segments] = bareCid(only(invocation.operands, 'a CID or ipfs:// path')).split('/')
    const path = segments.filter((segment) => segment !== '')
    const target = textFlag(invocation.flags, 'output') ?? path.at(-1) ?? root
    try {
      await fetchTo(parseCid(root), path, target, invocation)
    } catch (error) {
      throw asCommandError(error)
    }
  },
}

async function fetchTo(root: CID, path: string[], target: string, invocation: Invocation): Promise<void> {
  const { output, signal } = invocation
  const gateway = await gatewayFor(invocation)
  const url = `/ipfs/${[root.toString(), ...path.map(encodeURIComponent)].join('/')}`
  await using source = await GatewaySource.open(gateway, url, { signal })
  const { cid } = await resolve(root, path, source, { signal })
  using line = new ProgressLine(output)
  const written = new WrittenTree(source, signal, (bytes) => line.bytes(target, bytes, undefined))
  if (target === '-') return await written.toStdout(cid)
  if (await exists(target))
    throw new CommandError(EXIT.usage, `${target} is there already; name another place with -o.`)
  await written.write(cid, target, 0)
  for (const name of written.left) note(output, `${name} is a symbolic link or no file; it is left out.`)
  print(output, { cid: cid.toString(), path: target, bytes: written.bytes }, () => (output.quiet ? '' : target))
}

/** Writes a DAG of files and folders below a place, and nowhere else. */
class WrittenTree {
  readonly #source: GatewaySource
  readonly #signal: AbortSignal
  readonly #onBytes: (bytes: number) => void
  /** What was not written: links, and DAGs that are neither file nor folder. */
  readonly left: string[] = []
  bytes = 0

  constructor(source: GatewaySource, signal: AbortSignal, onBytes: (bytes: number) => void) {
    this.#source = source
    this.#signal = signal
    this.#onBytes = onBytes
  }

  /** `depth` bounds the recursion: no path that a gateway would answer is deeper. */
  async write(cid: CID, target: string, depth: number): Promise<void> {
    if (depth > MAX_PATH_SEGMENTS) throw new CommandError(EXIT.failure, `${target} is nested too deep.`)
    const node = unixfsNode(cid, await readBlock(cid, this.#source, { signal: this.#signal }))
    if (node.type === 'file') return await pipeline(this.#content(cid), createWriteStream(target, { flags: 'wx' }))
    if (node.type !== 'directory' && node.type !== 'hamt') return void this.left.push(target)
    await mkdir(target)
    for await (const entry of listDirectory(cid, this.#source, { signal: this.#signal })) {
      await this.write(entry.cid, join(target, entry.name), depth + 1)
    }
  }

  async toStdout(cid: CID): Promise<void> {
    await pipeline(this.#content(cid), process.stdout, { end: false })
  }

  #content(cid: CID): Readable {
    return Readable.from(this.#counted(cid), { objectMode: false })
  }

  async *#counted(cid: CID): AsyncGenerator<Uint8Array> {
    for await (const chunk of readFile(cid, this.#source, { signal: this.#signal })) {
      this.bytes += chunk.length
      this.#onBytes(this.bytes)
      yield chunk
    }
  }
}

async function gatewayFor({ connect, signal }: Invocation): Promise<string> {
  const { client, connection } = await connect()
  const known = connection.gateways[0]
  if (known !== undefined) return known
  const { nodes } = await client.get<{ nodes: { gateway: string; liveness: string }[] }>('/v1/nodes', { signal })
  const alive = nodes.find(({ liveness }) => liveness === 'up')
  if (alive === undefined) throw new CommandError(EXIT.unreachable, 'No node of the cluster answers just now.')
  return alive.gateway
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

function asCommandError(error: unknown): unknown {
  if (!hasCode(error)) return error
  return new CommandError(exitCodeOf(error.code), error.message, { cause: error })
}

function exitCodeOf(code: string): ExitCode {
  if (code === 'HASH_MISMATCH' || code === 'CORRUPT_BLOCK') return EXIT.verification
  if (code === 'NOT_FOUND' || code === 'BLOCK_MISSING') return EXIT.notFound
  if (code === 'UPSTREAM_FAILED') return EXIT.unreachable
  return code === 'INVALID_CID' ? EXIT.usage : EXIT.failure
}
