import { randomBytes } from 'node:crypto'
import { lstat, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseCid } from '../core/cid.ts'
import { isPlainName } from '../dag/plain-name.ts'
import { resolve } from '../dag/resolve.ts'
import type { Invocation } from './command.ts'
import type { ContentPath } from './content-path.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { GatewaySource } from './gateway-source.ts'
import type { NodeView } from './nodes.ts'
import { print, warn } from './output.ts'
import { ProgressLine } from './progress.ts'
import { plain } from './terminal-text.ts'
import { WrittenTree } from './written-tree.ts'

/**
 * Reads what a content path leads to and writes it to `target`: `-` is standard output; undefined, the last name of the
 * path in the current folder. Nothing appears under the target's name before all of it is there and checked.
 * @throws CommandError, HoldfastError
 */
export async function getContent(
  { root, segments }: ContentPath,
  target: string | undefined,
  invocation: Invocation,
): Promise<void> {
  const { output, signal } = invocation
  const cid = parseCid(root)
  const place = target ?? segments.at(-1) ?? root
  if (target === undefined && !isPlainName(place)) throw new CommandError(EXIT.usage, 'Say where to write it with -o.')
  if (place !== '-') await assertFree(place)

  const url = `/ipfs/${[root, ...segments.map(encodeURIComponent)].join('/')}`
  await using source = new GatewaySource(await gatewaysOf(invocation), url, signal)
  const found = await resolve(cid, segments, source, { signal })
  if (found.remainder.length > 0) {
    throw new CommandError(EXIT.failure, `The path ends inside ${found.cid.toString()}, which is no file or folder.`)
  }
  using line = new ProgressLine(output)
  const tree = new WrittenTree(source, signal, (bytes) => line.bytes(place, bytes, undefined))
  if (place === '-') return await pipeline(tree.content(found.cid), process.stdout, { end: false })
  await whole(place, (draft) => tree.write(found.cid, draft))
  line[Symbol.dispose]()
  for (const name of tree.left) warn(output, `${plain(name)} is a symbolic link or no file; it is left out.`)
  const { bytes, files } = tree
  print(output, { cid: found.cid.toString(), path: place, bytes, files, left: tree.left }, () =>
    output.quiet ? '' : plain(place),
  )
}

/** Writes under another name beside the place, and moves it there when it is whole; leaves nothing behind otherwise. */
async function whole(place: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = join(dirname(place), `.${basename(place).slice(0, 100)}.${randomBytes(6).toString('hex')}.part`)
  try {
    await write(draft)
    await assertFree(place)
    await rename(draft, place)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

async function assertFree(place: string): Promise<void> {
  const isThere = await lstat(place).then(
    () => true,
    () => false,
  )
  if (isThere) throw new CommandError(EXIT.usage, `${plain(place)} is there already; name another place with -o.`)
}

/** Gateways that are known here, else those of the service's nodes, the ones that answer first. */
export async function gatewaysOf({ api, gateways, signal }: Invocation): Promise<string[]> {
  const known = await gateways()
  if (known.length > 0) return known
  const { nodes } = await (await api()).get<{ nodes: NodeView[] }>('/v1/nodes', { signal })
  const alive = nodes.filter(({ liveness }) => liveness !== 'down')
  if (alive.length === 0) throw new CommandError(EXIT.unreachable, 'No node of the cluster answers just now.')
  return alive.toSorted((a, b) => b.liveness.localeCompare(a.liveness)).map(({ gateway }) => gateway)
}
