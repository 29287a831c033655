import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadyNode } from './cluster.ts'

interface Place {
  path: string
  at: number
}

/** Where in the node's segments these bytes are. */
export async function segmentsWith(node: ReadyNode, bytes: Uint8Array): Promise<Place[]> {
  const folder = join(node.data, 'blocks', 'segments')
  const places: Place[] = []
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    await using file = await open(path)
    const content = Buffer.alloc((await stat(path)).size)
    await file.read(content, 0, content.length, 0)
    const at = content.indexOf(bytes)
    if (at >= 0) places.push({ path, at })
  }
  return places
}

/** Flips a bit of these bytes wherever the node's disk has them. Answers how many places were spoiled. */
export async function flipBitsOf(node: ReadyNode, bytes: Uint8Array): Promise<number> {
  const places = await segmentsWith(node, bytes)
  for (const { path, at } of places) {
    await using file = await open(path, 'r+')
    await file.write(Uint8Array.of((bytes[0] ?? 0) ^ 0x10), 0, 1, at)
  }
  return places.length
}
