import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { toV1 } from '../../services/core/cid.ts'
import { hasCode } from '../../services/core/errors.ts'
import { listDirectory } from '../../services/dag/list-directory.ts'
import { unixfsNode } from '../../services/dag/node.ts'
import { readBlock } from '../../services/dag/read-block.ts'
import { readFile } from '../../services/dag/read-file.ts'
import { resolve } from '../../services/dag/resolve.ts'
import { escapeHtml } from '../../services/gateway/page.ts'
import type { Gateway } from '../../services/gateway/server.ts'
import { joined, MemoryBlocks } from '../support/dag.ts'
import { ask, carBlocks, openGateway, type Answered } from '../support/gateway.ts'
import { addCutFile, addTree, cuts, names, trees, type Tree } from '../support/random-tree.ts'
import { readTar } from '../support/tar.ts'

let gateway: Gateway
const blocks = new MemoryBlocks()
before(async () => {
  gateway = await openGateway(blocks, { hosts: [{ host: 'sites.test', class: 'subdomain' }] })
})
after(() => gateway.close())

test('any range of any file equals that slice, over HTTP and rebuilt from the CAR of the range', async () => {
  await fc.assert(
    fc.asyncProperty(
      cuts,
      fc.array(names, { maxLength: 4 }),
      fc.nat(),
      fc.nat(4_000),
      fc.nat(4_000),
      async (shape, segments, seed, from, length) => {
        const { cid, bytes } = addCutFile(blocks, shape, seed)
        const root = segments.reduceRight((child, segment) => blocks.addDirectory([[segment, child]]), cid)
        const path = ['/ipfs', root.toString(), ...segments.map(encodeURIComponent)].join('/')
        const expected = bytes.subarray(from, from + length + 1)

        const whole = await ask(gateway.url, path)
        assert.equal(whole.status, 200)
        assert.deepEqual(whole.body, bytes)
        const range = await ask(gateway.url, path, { headers: { range: `bytes=${from}-${from + length}` } })
        assert.equal(range.status, from < bytes.length ? 206 : 416)
        if (from < bytes.length) assert.deepEqual(range.body, expected)

        const car = await ask(gateway.url, `${path}?format=car&entity-bytes=${from}:${from + length}`)
        assert.ok(car.complete)
        const proven = await carBlocks(car.body)
        const found = await resolve(root, segments, proven)
        assert.equal(found.cid.toString(), cid.toString())
        assert.deepEqual(
          Buffer.from(await joined(readFile(cid, proven, { offset: from, length: length + 1 }))),
          expected,
        )
      },
    ),
    { numRuns: 150 },
  )
})

interface Wish {
  /** Which entry is taken on each level; beyond the tree they are names that are not there. */
  picks: number[]
  onSubdomain: boolean
  form: 'auto' | 'raw' | 'tar'
  range: [from: number, length: number] | undefined
}

const wishes: fc.Arbitrary<Wish> = fc.record({
  picks: fc.array(fc.nat(5), { maxLength: 4 }),
  onSubdomain: fc.boolean(),
  form: fc.constantFrom('auto', 'auto', 'raw', 'tar'),
  range: fc.option(fc.tuple(fc.nat(900), fc.nat(900)), { nil: undefined }),
})

/** The path of the picked entries. */
function segmentsOf(tree: Tree, picks: readonly number[]): string[] {
  const segments: string[] = []
  let current: Tree | undefined = tree
  for (const pick of picks) {
    const entries: [string, Tree][] = current !== undefined && 'entries' in current ? current.entries : []
    const [name, next] = entries[pick] ?? [`missing-${pick}`, undefined]
    segments.push(name)
    current = next
  }
  return segments
}

test('any answer for any path of any DAG is what the blocks of its CAR say, and 404 where they say nothing', async () => {
  await fc.assert(
    fc.asyncProperty(trees, wishes, async (tree, wish) => {
      const root = toV1(addTree(blocks, tree))
      const segments = segmentsOf(tree, wish.picks)
      const below = segments.map((segment) => `/${encodeURIComponent(segment)}`).join('')
      const car = await ask(gateway.url, `/ipfs/${root.toString()}${below}?format=car`)
      const answer = await read(root, below, wish)
      if (car.status !== 200) {
        assert.equal(answer.status, car.status)
        assert.equal(car.status, 404)
        return
      }
      assert.ok(car.complete && answer.complete)
      const proven = await carBlocks(car.body)
      const { cid, remainder } = await resolve(root, segments, proven)
      assert.deepEqual(remainder, [])
      await compare(answer, cid, proven, wish)
    }),
    { numRuns: 400 },
  )
})

/** Asks on the path gateway or in the root's own origin; a directory under its URL with a slash. */
async function read(root: CID, below: string, { onSubdomain, form, range }: Wish): Promise<Answered> {
  const query = form === 'auto' ? '' : `?format=${form}`
  const base = onSubdomain ? '' : `/ipfs/${root.toString()}`
  const host = onSubdomain ? `${root.toString()}.ipfs.sites.test` : 'files.test'
  const headers = { host, ...(range === undefined ? {} : { range: `bytes=${range[0]}-${range[0] + range[1]}` }) }
  const answer = await ask(gateway.url, `${base}${below || (onSubdomain ? '/' : '')}${query}`, { headers })
  if (answer.status !== 301) return answer
  assert.equal(answer.headers.location, `${base}${below}/${query}`)
  return await ask(gateway.url, answer.headers.location ?? '', { headers })
}

async function compare(answer: Answered, cid: CID, proven: MemoryBlocks, { form, range }: Wish): Promise<void> {
  const block = Buffer.from(await readBlock(cid, proven))
  if (form === 'raw') return compareBytes(answer, block, range)
  if (form === 'tar') return await compareTar(answer, cid, proven)
  if (!isUnixfs(cid)) return compareBytes(answer, block, range)
  const node = unixfsNode(cid, block)
  if (node.type === 'symlink') return compareBytes(answer, Buffer.from(node.target), range)
  if (node.type === 'file') return compareBytes(answer, await bytesOf(cid, proven), range)
  const index = await indexOf(cid, proven)
  if (index !== undefined) return compareBytes(answer, index, range)
  assert.equal(answer.status, 200)
  const html = answer.body.toString()
  const listed = await Array.fromAsync(listDirectory(cid, proven), ({ name }) => name)
  for (const name of listed) assert.ok(html.includes(`>${escapeHtml(name)}</a>`), name)
  assert.equal(html.split('class="ipfs-hash"').length - 1, listed.length)
}

function compareBytes(answer: Answered, bytes: Buffer, range: Wish['range']): void {
  if (range === undefined) {
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.body, bytes)
    return
  }
  const [from, length] = range
  assert.equal(answer.status, from < bytes.length ? 206 : 416)
  if (from < bytes.length) assert.deepEqual(answer.body, bytes.subarray(from, from + length + 1))
}

async function compareTar(answer: Answered, cid: CID, proven: MemoryBlocks): Promise<void> {
  const expected = await filesOf(cid, cid.toString(), proven)
  if (expected === undefined) {
    // Small archives fail before their first byte.
    assert.equal(answer.status, 406)
    return
  }
  assert.equal(answer.status, 200)
  const members = readTar(answer.body).filter(({ type }) => type === 'file')
  assert.deepEqual(new Map(members.map(({ name, content }) => [name, content])), expected)
}

/** Files at and below a CID; undefined when something there is no UnixFS. */
async function filesOf(cid: CID, name: string, proven: MemoryBlocks): Promise<Map<string, Buffer> | undefined> {
  if (!isUnixfs(cid)) return undefined
  const node = unixfsNode(cid, await readBlock(cid, proven))
  if (node.type === 'file') return new Map([[name, await bytesOf(cid, proven)]])
  const files = new Map<string, Buffer>()
  if (node.type === 'symlink') return files
  for await (const entry of listDirectory(cid, proven)) {
    const below = await filesOf(entry.cid, `${name}/${entry.name}`, proven)
    if (below === undefined) return undefined
    for (const [path, bytes] of below) files.set(path, bytes)
  }
  return files
}

async function indexOf(cid: CID, proven: MemoryBlocks): Promise<Buffer | undefined> {
  try {
    const { cid: index } = await resolve(cid, ['index.html'], proven)
    const isFile = isUnixfs(index) && unixfsNode(index, await readBlock(index, proven)).type === 'file'
    return isFile ? await bytesOf(index, proven) : undefined
  } catch (error) {
    assert.ok(hasCode(error, 'NOT_FOUND'))
    return undefined
  }
}

async function bytesOf(cid: CID, proven: MemoryBlocks): Promise<Buffer> {
  return Buffer.from(await joined(readFile(cid, proven)))
}

function isUnixfs(cid: CID): boolean {
  return cid.code === 0x70 || cid.code === 0x55
}
