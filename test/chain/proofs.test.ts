import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { AbiCoder } from 'ethers'
import { saveAnswers } from '../../services/catalog/possession-challenges.ts'
import { beginChallenging } from '../../services/catalog/proofs-challenging.ts'
import { takeProof } from '../../services/catalog/proofs-lease.ts'
import { signerOf } from '../../services/chain/chain-key.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { checkStatements, signedDigest, statementOf } from '../../services/core/proof/check-proof.ts'
import { ProofFile } from '../../services/core/proof/proof-file.ts'
import { startChain, type TestChain } from '../support/anvil.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { selectorOf } from '../support/contracts-abi.ts'
import {
  askForProof,
  Documents,
  fileOf,
  proofIn,
  startHolders,
  TEST_KEY,
  withProver,
  type Holders,
} from '../support/proofs.ts'
import { until } from '../support/until.ts'

const run = promisify(execFile)
const CHECKER = resolve(import.meta.dirname, '../fixtures/check-proof.mjs')

let chain: TestChain
let api: TestApi
let holders: Holders
let pool: ProviderPool
let folder: string
const stack = new AsyncDisposableStack()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-proofs-'))
  stack.defer(() => rm(folder, { recursive: true }))
  chain = stack.use(await startChain())
  api = stack.use(await openTestApi({ signer: TEST_KEY, anchorKinds: ['none'] }))
  holders = stack.use(await startHolders(api, 3))
  pool = new ProviderPool([{ name: 'one', url: chain.url }])
})
after(() => stack.disposeAsync())

function now(): number {
  return Math.floor(Date.now() / 1_000)
}

/** What does not hold of a proof; a document that is none counts as one problem. */
function problemsOf(document: unknown): string[] {
  const parsed = ProofFile.safeParse(document)
  if (!parsed.success) return ['no proof']
  const proof = parsed.data
  const isSigned = signerOf(signedDigest(proof), proof.signature) === proof.signer
  const problems = checkStatements(proof, now()).map(({ problem }) => problem)
  return isSigned ? problems : [...problems, 'the signature']
}

async function makeProof(body: Parameters<typeof askForProof>[1], options = {}): Promise<ProofFile> {
  const { id } = await askForProof(api, body)
  return await withProver(api, { pool, ...options }, async () => {
    const view = await proofIn(api, id, 'done')
    assert.equal(view.state, 'done', JSON.stringify(view.error))
    return await fileOf(api, id)
  })
}

suite('a proof', { timeout: 120_000 }, () => {
  test('of pins holds by itself, for the program of this repository and for one that knows only the specification', async () => {
    const cids = [await holders.pin('one'), await holders.pin('two'), await holders.pin('three', 2)]
    const documents = new Documents()
    const proof = await makeProof({ pins: cids.map(String) }, { keep: documents.keep })
    assert.deepEqual(problemsOf(proof), [])
    assert.equal(proof.signer, TEST_KEY.address)
    assert.deepEqual(
      proof.statements.map(({ cid, replicas }) => [cid, replicas]),
      [
        [String(cids[0]), 3],
        [String(cids[1]), 3],
        [String(cids[2]), 2],
      ],
    )
    const block = await chain.rpc.call({ method: 'eth_getBlockByNumber', params: ['finalized', false] })
    assert.deepEqual(proof.seed, { kind: 'block', number: 0, hash: (block as { hash: string }).hash })
    const manifest = JSON.parse(documents.kept.get(proof.manifest ?? '') ?? '{}') as { root: string; statements: [] }
    assert.equal(manifest.root, proof.root)
    assert.equal(manifest.statements.length, 3)
    const file = join(folder, 'proof.json')
    await writeFile(file, JSON.stringify(proof))
    assert.equal((await run(process.execPath, [CHECKER, file])).stdout.trim(), TEST_KEY.address)
  })

  test('of which anything was changed is refused', async () => {
    const pins = [String(await holders.pin('whole')), String(await holders.pin('whole too'))]
    const proof = await makeProof({ pins })
    const tampered = [...changesOf(proof)]
    assert.ok(tampered.length > 60, `${tampered.length}`)
    for (const { path, document } of tampered) {
      assert.notDeepEqual(problemsOf(document), [], `${path.join('.')} could be changed`)
    }
  })

  test('of one pin is small, and as good as that of all', async () => {
    const pins = [String(await holders.pin('a')), String(await holders.pin('b'))]
    const { id } = await askForProof(api, { pins })
    const file = await withProver(api, { pool }, async () => {
      await proofIn(api, id, 'done')
      return await fileOf(api, id, pins[1])
    })
    assert.deepEqual(problemsOf(file), [])
    assert.deepEqual(
      file.statements.map(({ cid }) => cid),
      [pins[1]],
    )
  })

  test('is accepted by a contract with the MerkleProof of OpenZeppelin, and not with another size', async () => {
    const pins = [String(await holders.pin('c')), String(await holders.pin('d')), String(await holders.pin('e'))]
    const proof = await makeProof({ pins })
    const contract = await chain.deploy('FixtureProof', TEST_KEY.address.slice(2).padStart(64, '0'))
    const isStated = async (document: ProofFile): Promise<boolean> => {
      const [statement] = document.statements
      assert.ok(statement)
      const { cid, size, policy, replicas, holders: root, checkedAt, validUntil } = statementOf(proof.seed, statement)
      const tuple = [cid, size, policy, replicas, root, checkedAt, validUntil]
      const type = '(bytes,uint64,bytes32,uint8,bytes32,uint64,uint64)'
      const words = AbiCoder.defaultAbiCoder().encode(
        [type, 'bytes32[]', 'bytes32'],
        [tuple, statement.path, proof.root],
      )
      const data = selectorOf(`isStated(${type},bytes32[],bytes32)`) + words.slice(2)
      const answer = await chain.rpc.call({ method: 'eth_call', params: [{ to: contract, data }, 'latest'] })
      return BigInt(String(answer)) === 1n
    }
    assert.equal(await isStated(proof), true)
    const other = structuredClone(proof)
    for (const statement of other.statements) statement.size += 1
    assert.equal(await isStated(other), false)
  })

  test('is made though the process is stopped after each of its steps', async () => {
    const root = await holders.pin('made in small steps')
    const { id } = await askForProof(api, { pins: [String(root)] })
    const seen = new Set<string>()
    for (let state = ''; state !== 'done';) {
      const before = state
      state = await withProver(api, { pool }, () =>
        until('another step', async () => {
          const view = await api.json<{ state: string }>('GET', `/v1/proofs/${id}`)
          return view.state === before ? undefined : view.state
        }),
      )
      seen.add(state)
    }
    assert.ok(seen.size > 1)
    assert.deepEqual(problemsOf(await fileOf(api, id)), [])
  })

  test('takes of each challenge the first answer, and only that of whom it was for', async () => {
    const [first, second] = holders.ids as [number, number]
    const root = await holders.pin('answered twice')
    const { id } = await askForProof(api, { pins: [String(root)] })
    const rows = () =>
      api.db.query<{ id: string; nodeId: number; answer: { bytes: number } | null }>(
        'select id::text as id, node_id as "nodeId", answer from possession_challenge where proof_id = $1 order by id',
        [id],
      )
    const proof = await takeProof(api.db, 60_000)
    assert.equal(proof?.id, id)
    const nonce = `0x${'01'.repeat(32)}`
    await api.db.run(`update node set liveness = 'down' where id <> $1`, [first])
    await beginChallenging(api.db, proof, { seed: { kind: 'random', value: nonce }, nonce, most: 10 })
    await api.db.run(`update node set liveness = 'up'`)
    const [challenge, ...others] = await rows()
    assert.ok(challenge)
    assert.deepEqual([challenge.nodeId, others.length], [first, 0])
    // The node itself may be asked at any moment; nobody else answers for it.
    await api.db.run('update possession_challenge set answer = null, answered_at = null where proof_id = $1', [id])
    const report = { id: challenge.id, blocks: 1, bytes: 7, answers: [] }
    await saveAnswers(api.db, second, [{ ...report, bytes: 8 }])
    await saveAnswers(api.db, first, [report])
    await saveAnswers(api.db, first, [{ ...report, bytes: 9 }])
    assert.notEqual((await rows())[0]?.answer?.bytes, 8)
    assert.notEqual((await rows())[0]?.answer?.bytes, 9)
    await api.db.run('delete from proof where id = $1', [id])
  })

  test('names the copies that were not shown: lost blocks, silent nodes', async () => {
    const [losing] = holders.nodes
    const root = await holders.pin('to be lost')
    losing?.lose(root, [0])
    const { id } = await askForProof(api, { pins: [String(root)] })
    const view = await withProver(api, { pool }, () => proofIn(api, id, 'done'))
    assert.deepEqual(view.refused, [
      { cid: String(root), isStated: true, refused: [{ node: losing?.publicKey, reason: 'BLOCKS_MISSING' }] },
    ])
    const [statement] = (await fileOf(api, id)).statements
    assert.equal(statement?.replicas, 2)
    const nowhere = await holders.pin('nowhere', 1)
    losing?.lose(nowhere, [0])
    const failed = await askForProof(api, { pins: [String(nowhere)] })
    const end = await withProver(api, { pool }, () => proofIn(api, failed.id, 'done'))
    assert.equal(end.error?.code, 'UNPROCESSABLE')
  })

  test('without a chain has a seed that was drawn, and says so; a lone copy says that nobody checked it', async () => {
    const root = await holders.pin('alone', 1)
    const proof = await makeProof({ pins: [String(root)] }, { pool: undefined })
    assert.equal(proof.seed.kind, 'random')
    assert.equal(proof.domain.chainId, 0)
    assert.deepEqual(proof.statements[0]?.holders[0]?.checkedBy, [])
    assert.deepEqual(problemsOf(proof), [])
  })

  test('is not to be had of what is no pin of the account, or by a kind of anchor that is not configured', async () => {
    const cases: readonly [body: object, status: number][] = [
      [{ pins: ['bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4'] }, 404],
      [{ pins: ['no cid'] }, 400],
      [{ collection: 'eip155:1/erc721:0x0000000000000000000000000000000000000001' }, 404],
      [{ anchor: 'event' }, 501],
      [{ pins: [], collection: 'x' }, 400],
    ]
    for (const [body, status] of cases) {
      const response = await api.send('POST', '/v1/proofs', { body })
      assert.equal(response.status, status, JSON.stringify(body))
    }
    const token = await api.tokenWith('pins:read', 'pins:write')
    assert.equal((await api.send('POST', '/v1/proofs', { body: {}, token })).status, 403)
  })
})

/** Each value of a document changed a little, one at a time; the anchor, which only a chain can tell, is left out. */
function* changesOf(proof: ProofFile): Generator<{ path: (string | number)[]; document: unknown }> {
  const paths: (string | number)[][] = []
  const visit = (value: unknown, path: (string | number)[]): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value))
        visit(inner, [...path, Array.isArray(value) ? Number(key) : key])
    } else if (path[0] !== 'anchor') paths.push(path)
  }
  visit(proof, [])
  for (const path of paths) {
    const document: unknown = structuredClone(proof)
    const last = path.at(-1) as string
    const parent = path.slice(0, -1).reduce((at: unknown, key) => (at as Record<string, unknown>)[key], document)
    const holder = parent as Record<string, unknown>
    holder[last] = changed(holder[last])
    yield { path, document }
  }
}

function changed(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (typeof value !== 'string') return 'something'
  // A digit in the middle: of hex, of base32 and of base64url it is still one.
  const middle = Math.floor(value.length / 2)
  const digit = value[middle] === '2' ? '3' : '2'
  return value.slice(0, middle) + digit + value.slice(middle + 1)
}
