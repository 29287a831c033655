import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { type Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { AnchorKind, ProofFile } from '../../services/core/proof/proof-file.ts'
import { Anchoring } from '../support/anchoring.ts'
import { startChain } from '../support/anvil.ts'
import { makeProofFile } from '../support/proof-file.ts'
import { fileOf, proofIn, TEST_KEY, withProver } from '../support/proofs.ts'
import { runCli, type Ran } from '../support/run-cli.ts'

let at: Anchoring
let folder: string
const stack = new AsyncDisposableStack()
const KINDS: readonly Exclude<AnchorKind, 'none'>[] = ['eas-timestamp', 'pin-anchor', 'event']

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-verify-'))
  stack.defer(() => rm(folder, { recursive: true }))
  at = stack.use(await Anchoring.open())
  await at.mine(12)
})
after(() => stack.disposeAsync())

let made = 0

/** A proof that is anchored for good. */
async function makeProof(anchor: AnchorKind, signer = TEST_KEY): Promise<ProofFile> {
  const id = await at.ask(anchor)
  return await withProver(at.api, { pool: at.pool, anchors: at.anchors(TEST_KEY), signer }, async () => {
    if (anchor !== 'none') {
      await at.seen(id, 'an anchor in a block', (view) => view.anchor?.state === 'included')
      await at.mine(12)
    }
    assert.equal((await proofIn(at.api, id, 'done')).error, null)
    return await fileOf(at.api, id)
  })
}

async function verify(document: unknown, ...words: string[]): Promise<Ran> {
  const file = join(folder, `proof-${made++}.json`)
  await writeFile(file, JSON.stringify(document))
  return await runCli(['proof', 'verify', file, ...words])
}

suite('proof verify', { timeout: 180_000 }, () => {
  test('holds a sound proof for sound without asking anybody, and tells what it means', async () => {
    const proof = await makeProof('none')
    const { exitCode, stdout, stderr } = await verify(proof)
    assert.equal(exitCode, 0, stderr)
    assert.match(stdout, new RegExp(`signed by ${TEST_KEY.address}`))
    assert.match(stderr, /no promise of permanence/)
    const asJson = await verify(proof, '--json', '--signer', TEST_KEY.address.toUpperCase().replace('0X', '0x'))
    assert.equal(asJson.exitCode, 0)
    assert.equal((JSON.parse(asJson.stdout) as { isValid: boolean }).isValid, true)
  })

  test('says by its exit code what is wrong', async () => {
    const proof = await makeProof('none')
    const other = `0x${'1'.repeat(40)}`
    assert.equal((await verify(proof, '--signer', other)).exitCode, 5)
    assert.equal((await verify({ ...proof, signer: other })).exitCode, 5)
    assert.equal((await verify({ ...proof, leaves: 2 })).exitCode, 5)
    assert.equal((await verify({ hello: 'world' })).exitCode, 2)
    assert.equal((await runCli(['proof', 'verify', join(folder, 'nowhere.json')])).exitCode, 2)
    assert.equal((await verify(proof, '--rpc', 'http://127.0.0.1:1')).exitCode, 7)
    assert.equal((await verify(proof, '--rpc', at.chain.url)).exitCode, 0)
    const [statement] = proof.statements
    assert.ok(statement)
    const late = { ...proof, statements: [{ ...statement, validUntil: statement.checkedAt }] }
    assert.equal((await verify(late)).exitCode, 5)
  })

  test('refuses a proof from the future, and one that was no longer valid when it was signed', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const size = { roots: 1, holders: 2 }
    assert.equal((await verify(await makeProofFile(size))).exitCode, 0)
    const future = await verify(await makeProofFile({ ...size, takenAt: now + 3_600 }))
    assert.deepEqual([future.exitCode, /taken in the future/.test(future.stderr)], [5, true], future.stderr)
    const late = await makeProofFile({ ...size, checkedAt: now - 100, validSeconds: 50 })
    const { exitCode, stdout } = await verify(late, '--json')
    assert.deepEqual([exitCode, /no longer valid when it was signed/.test(stdout)], [5, true], stdout)
  })

  test('refuses what was checked before the block of its challenge was there, or long after that', async () => {
    const hour = 3_600
    const start = Math.floor(Date.now() / 1_000) - 48 * hour
    await using old = await startChain(['--timestamp', String(start)])
    const genesis = await old.rpc.call({ method: 'eth_getBlockByNumber', params: ['0x0', false] })
    const { hash, timestamp } = genesis as { hash: Hex; timestamp: Hex }
    assert.equal(Number(timestamp), start)
    const checkedAfter = async (seconds: number): Promise<Ran> => {
      const seed = { kind: 'block' as const, number: 0, hash }
      const times = { takenAt: start + seconds, validSeconds: 72 * hour }
      const proof = await makeProofFile({ roots: 1, holders: 2, seed, chainId: 31_337, ...times })
      return await verify(proof, '--rpc', old.url)
    }
    const cases: readonly [seconds: number, says: RegExp | undefined][] = [
      [-121, /checked 121 s before the block of its challenge was there/],
      [-120, undefined],
      [15 * 60, undefined],
      [24 * hour, undefined],
      [24 * hour + 1, /the block of its challenge was known 24 h before it was checked/],
    ]
    for (const [seconds, says] of cases) {
      const { exitCode, stderr } = await checkedAfter(seconds)
      assert.equal(exitCode, says === undefined ? 0 : 5, `${seconds}: ${stderr}`)
      if (says !== undefined) assert.match(stderr, says)
    }
    // The service does not make such proofs either.
    const id = await at.ask('none')
    await withProver(at.api, { pool: new ProviderPool([{ name: 'old', url: old.url }]) }, async () => {
      const { state, hindrance } = await at.seen(id, 'a hindrance', (view) => view.hindrance !== null)
      assert.equal(state, 'queued')
      assert.match(hindrance?.message ?? '', /newest finalised block is 48 h old/)
    })
    await at.api.db.run('delete from proof where id = $1', [id])
  })

  for (const kind of KINDS) {
    test(`finds an anchor of the kind ${kind} in the chain, and none that was changed`, async () => {
      const proof = await makeProof(kind)
      const sound = await verify(proof, '--rpc', at.chain.url)
      assert.equal(sound.exitCode, 0, sound.stderr)
      const { anchor } = proof
      assert.ok(anchor?.block)
      const wrong = `0x${'12'.repeat(32)}`
      const changes: readonly object[] = [
        { transaction: wrong },
        { publisher: `0x${'1'.repeat(40)}` },
        { kind: kind === 'event' ? 'pin-anchor' : 'event' },
        { block: { ...anchor.block, hash: wrong } },
        { block: { ...anchor.block, number: anchor.block.number + 1 } },
      ]
      for (const change of changes) {
        const { exitCode } = await verify({ ...proof, anchor: { ...anchor, ...change } }, '--rpc', at.chain.url)
        assert.equal(exitCode, 5, JSON.stringify(change))
      }
      assert.equal((await verify({ ...proof, anchor: null }, '--rpc', at.chain.url)).exitCode, 5)
    })
  }

  test('asks a contract that signs (ERC-1271), and needs the chain for that', async () => {
    const contract = await at.chain.deploy('FixtureProof', TEST_KEY.address.slice(2).padStart(64, '0'))
    const stranger = await at.chain.deploy('FixtureProof', '1'.padStart(64, '0'))
    const sign = (digest: Uint8Array) => TEST_KEY.sign(digest)
    const good = await makeProof('none', { address: contract, sign })
    assert.equal((await verify(good, '--rpc', at.chain.url)).exitCode, 0)
    assert.equal((await verify(good)).exitCode, 5)
    const bad = await makeProof('none', { address: stranger, sign })
    assert.equal((await verify(bad, '--rpc', at.chain.url)).exitCode, 5)
  })
})
