import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { cidKey } from '../../services/core/cid.ts'
import { placesOf, seedOf } from '../../services/core/proof/challenge.ts'
import { judgeHolders, type PossessionAnswer } from '../../services/core/proof/judge-holders.ts'
import { isHolderSigned } from '../../services/core/proof/possession.ts'
import { keccak } from '../../services/core/proof/typed-data.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { ProvingNode } from '../support/proving-node.ts'
import { seededRandom } from '../support/seeded-random.ts'

const BLOCKS = 1_001

const source = new MemoryBlocks()
const stack = new AsyncDisposableStack()
const nodes: ProvingNode[] = []
let root: CID

/** A file of a thousand blocks that are all different. */
before(async () => {
  const leaves = Array.from({ length: BLOCKS - 1 }, (_, place) => source.addRaw(Buffer.from(`block ${place}`)))
  root = source.addFileNode(
    leaves,
    leaves.map((leaf) => source.sizeOf(leaf) ?? 0),
  )
  for (let index = 0; index < 3; index++) nodes.push(stack.use(new ProvingNode()))
  for (const node of nodes) await node.hold(root, source)
})
after(() => stack.disposeAsync())

function nonceOf(number: number): string {
  return `0x${Buffer.from(keccak(Buffer.from(`block ${number}`))).toString('hex')}`
}

/** What each of the nodes answers for itself and for the others. */
async function answersOf(asked: readonly ProvingNode[], nonce: string): Promise<PossessionAnswer[]> {
  const found: PossessionAnswer[] = []
  for (const [index, node] of asked.entries()) {
    const subjects = [...asked.slice(index), ...asked.slice(0, index)].map(({ publicKey }) => publicKey)
    const report = await node.answer({ id: String(index + 1), root: cidKey(root), nonce, subjects })
    for (const { subject, answers, signature } of report.answers) {
      const { blocks, bytes } = report
      const all = Buffer.from(answers, 'base64url')
      found.push({ node: node.publicKey, subject, blocks, bytes, answers: all, signature })
    }
  }
  return found
}

function judge(asked: readonly ProvingNode[], nonce: string, answers: readonly PossessionAnswer[]) {
  return judgeHolders({ cid: cidKey(root), nonce, nodes: asked.map(({ publicKey }) => publicKey) }, answers)
}

suite('a challenge', () => {
  test('asks for 60 different blocks, others for each node and each nonce, or for all when there are fewer', () => {
    const [a, b] = nodes as [ProvingNode, ProvingNode]
    const places = (nonce: string, { publicKey }: ProvingNode) => placesOf(seedOf(nonce, root.bytes, publicKey), BLOCKS)
    const first = places(nonceOf(1), a)
    assert.equal(new Set(first).size, 60)
    assert.ok(first.every((place) => place >= 0 && place < BLOCKS))
    assert.notDeepEqual(first, places(nonceOf(1), b))
    assert.notDeepEqual(first, places(nonceOf(2), a))
    assert.deepEqual(placesOf(seedOf(nonceOf(1), root.bytes, a.publicKey), 3), [0, 1, 2])
  })

  test('is passed by whole copies, which check each other', async () => {
    const nonce = nonceOf(3)
    const { holders, refused } = judge(nodes, nonce, await answersOf(nodes, nonce))
    assert.deepEqual(refused, [])
    assert.deepEqual(
      holders.map(({ checkedBy }) => checkedBy.length),
      [2, 2, 2],
    )
    const seed = { kind: 'random' as const, value: nonce }
    assert.ok(holders.every((holder) => isHolderSigned(cidKey(root), seed, holder)))
  })

  test('finds a copy that has lost one block in twenty at least 19 times of 20', async () => {
    const random = seededRandom(20_261_125)
    // Which blocks are asked for follows from the key, too.
    await using losing = new ProvingNode(Buffer.alloc(32, 7))
    await losing.hold(root, source)
    const lost = new Set<number>()
    while (lost.size < BLOCKS / 20) lost.add(1 + Math.floor(random() * (BLOCKS - 1)))
    losing.lose(root, lost)
    const other = nodes[0] as ProvingNode
    let found = 0
    const runs = 200
    for (let run = 0; run < runs; run++) {
      const nonce = `0x${Buffer.from(keccak(Buffer.from(`${random()}`))).toString('hex')}`
      const { holders, refused } = judge([losing, other], nonce, await answersOf([losing, other], nonce))
      const isFound = refused.some(({ node, reason }) => node === losing.publicKey && reason === 'BLOCKS_MISSING')
      // The sound copy is stated, whatever the other could not check.
      assert.ok(holders.some(({ node }) => node === other.publicKey))
      if (isFound) found += 1
    }
    // 1 - 0.95^60 = 0.954 of them are expected.
    assert.ok(found >= 0.95 * runs, `${found} of ${runs}`)
  })

  test('is not passed by answers that are made up, copied from others, or signed by others', async () => {
    const nonce = nonceOf(4)
    const [liar, sound, other] = nodes as [ProvingNode, ProvingNode, ProvingNode]
    const answers = await answersOf(nodes, nonce)
    const own = answers.find(({ node, subject }) => node === liar.publicKey && subject === liar.publicKey)
    const copied = answers.find(({ node, subject }) => node === sound.publicKey && subject === sound.publicKey)
    const rest = answers.filter((answer) => answer !== own)
    const without = judge(nodes, nonce, rest)
    assert.deepEqual(without.refused, [{ node: liar.publicKey, reason: 'NO_ANSWER' }])
    for (const forged of [
      { ...(own as PossessionAnswer), answers: Buffer.alloc(60 * 32, 1) },
      { ...(copied as PossessionAnswer), node: liar.publicKey, subject: liar.publicKey },
      { ...(own as PossessionAnswer), bytes: 1 },
    ]) {
      const judged = judge(nodes, nonce, [...rest, forged])
      assert.deepEqual(judged.refused, [{ node: liar.publicKey, reason: 'NO_ANSWER' }])
      assert.equal(judged.holders.length, 2)
    }
    assert.ok(other.publicKey !== liar.publicKey)
  })

  test('of which others know better is refuted, and one that nobody else could check says so', async () => {
    const nonce = nonceOf(5)
    await using liar = new ProvingNode()
    const small = new MemoryBlocks()
    // A liar with a key of its own signs what it likes: answers for other bytes under the same places.
    const wrong = Array.from({ length: BLOCKS - 1 }, (_, place) => small.addRaw(Buffer.from(`wrong ${place}`)))
    const wrongRoot = small.addFileNode(
      wrong,
      wrong.map(() => 8),
    )
    await liar.hold(wrongRoot, small)
    liar.pretend(root, wrongRoot)
    const sound = nodes[0] as ProvingNode
    const both = judge([liar, sound], nonce, await answersOf([liar, sound], nonce))
    assert.ok(both.refused.some(({ node, reason }) => node === liar.publicKey && reason === 'REFUTED'))
    const alone = judge([sound], nonce, await answersOf([sound], nonce))
    assert.deepEqual(
      alone.holders.map(({ checkedBy }) => checkedBy),
      [[]],
    )
  })
})
