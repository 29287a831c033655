import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { openBlockReader } from '../../services/blocks/reader.ts'
import type { ReadyNode } from './cluster.ts'

/** Whether the node's own disk has every block of the root, and gives it back as it was. */
export async function isWholeOn(node: ReadyNode, root: CID): Promise<boolean> {
  await using store = await openBlockReader(join(node.data, 'blocks'))
  const entries = [...store.manifest(root)]
  for (const { cid } of entries) if ((await store.get(cid).catch(() => undefined)) === undefined) return false
  return entries.length > 0
}

/** Bytes of the node's segment files. */
export async function segmentBytesOf({ data }: ReadyNode): Promise<number> {
  const folder = join(data, 'blocks', 'segments')
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
