import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAG_PB } from '../../services/core/cid.ts'
import { addFile } from '../../services/dag/add-file.ts'
import { unixfsNode } from '../../services/dag/node.ts'
import { chunked, cidOf, encodePb, MemoryBlocks, pseudoRandomBytes } from '../support/dag.ts'

test('all who read the same bytes of a large file node have one node, and other blocks in those bytes another', async () => {
  const blocks = new MemoryBlocks()
  const { root } = await addFile(chunked(pseudoRandomBytes(1, 40 * 1_048_576)), blocks)
  const bytes = (await blocks.get(root)) as Uint8Array
  const node = unixfsNode(root, bytes)
  assert.equal(unixfsNode(root, bytes), node)
  assert.deepEqual(unixfsNode(root, bytes.slice()), node)
  const other = encodePb(undefined, [])
  const reused = new Uint8Array(bytes.length)
  reused.set(bytes)
  assert.deepEqual(unixfsNode(root, reused), node)
  assert.equal(unixfsNode(cidOf(DAG_PB, other), other).type, 'links')
})
