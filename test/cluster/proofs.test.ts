import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { quantityOf } from '../../services/chain/hex.ts'
import type { ProofFile } from '../../services/core/proof/proof-file.ts'
import { startChain } from '../support/anvil.ts'
import { Cluster } from '../support/cluster.ts'
import { deployCollection } from '../support/collections.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/until.ts'

const KEY = '59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'
const SIGNER = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8'

suite('proofs', { timeout: 300_000 }, () => {
  test('of what a cluster keeps, from the nodes of the cluster to a file that holds without it', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-proof-files-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const chain = stack.use(await startChain())
    const pinAnchor = await chain.deployOwn('PinAnchor')
    const cluster = stack.use(
      await Cluster.start({
        HOLDFAST_CHAIN_RPC: chain.url,
        HOLDFAST_PROOF_KEY: KEY,
        HOLDFAST_PIN_ANCHOR: pinAnchor,
      }),
    )
    const environment = { HOLDFAST_URL: cluster.ready.api, HOLDFAST_TOKEN: cluster.ready.token }
    const cli = (...words: string[]) => runCli(words, { environment })

    // Hundreds of blocks, so that only some of them are asked for; and the nodes have to agree on their order.
    const film = await cluster.upload(seededBytes(1, 80 * 1_024 * 1_024), '?name=film')
    const image = await cluster.upload('one image', '?name=image')
    const metadata = await cluster.upload(JSON.stringify({ image: `ipfs://${image.cid}` }), '?name=metadata')
    for (const { pin } of [film, image, metadata]) {
      await until(`three copies of ${pin.requestid}`, async () => {
        const { replicas } = await cluster.details(pin.requestid)
        return replicas.filter(({ state }) => state === 'verified').length === 3
      })
    }

    const proofJson = join(folder, 'proof.json')
    const created = cli('proof', 'create', film.cid, image.cid, '--anchor', 'pin-anchor', '--out', proofJson, '--json')
    const mining = setInterval(() => {
      chain.rpc.call({ method: 'anvil_mine', params: [quantityOf(4)] }).catch(() => undefined)
    }, 500)
    stack.defer(() => clearInterval(mining))
    const { exitCode, stderr } = await created
    assert.equal(exitCode, 0, stderr)
    const proof = JSON.parse(await readFile(proofJson, 'utf8')) as ProofFile
    assert.deepEqual(
      proof.statements.map(({ cid, replicas, holders }) => [cid, replicas, holders.map((one) => one.checkedBy.length)]),
      [
        [film.cid, 3, [2, 2, 2]],
        [image.cid, 3, [2, 2, 2]],
      ],
    )
    assert.ok((proof.statements[0]?.holders[0]?.blocks ?? 0) > 60)
    assert.equal(proof.signer, SIGNER)
    const verified = await runCli(['proof', 'verify', proofJson, '--rpc', chain.url, '--signer', SIGNER])
    assert.equal(verified.exitCode, 0, verified.stderr)
    const [node] = cluster.ready.nodes
    const manifest = await fetch(`${node?.gateway}/ipfs/${proof.manifest}`)
    assert.equal(((await manifest.json()) as { root: string }).root, proof.root)

    const address = await deployCollection(chain, [`ipfs://${metadata.cid}`])
    const collection = `eip155:31337/erc721:${address}`
    const [report, signature] = [join(folder, 'report.json'), join(folder, 'signature.json')]
    const words = ['--block', 'latest', '--report', report, '--signature', signature, '--pin']
    const looked = await cli('collection', 'verify', collection, ...words)
    assert.equal(looked.exitCode, 0, looked.stderr)
    const kept = /kept as (\S+)/.exec(looked.stderr)?.[1]
    const text = await (await fetch(`${node?.gateway}/ipfs/${kept}`)).text()
    assert.equal(text, await readFile(report, 'utf8'))
    const { reportSha256 } = JSON.parse(await readFile(signature, 'utf8')) as { reportSha256: string }
    assert.equal(reportSha256, hash('sha256', text, 'hex'))
    const sound = await runCli(['proof', 'verify', report, '--signature', signature, '--signer', SIGNER])
    assert.equal(sound.exitCode, 0, sound.stderr)
    const other = await runCli(['proof', 'verify', signature, '--signature', signature])
    assert.equal(other.exitCode, 5)

    const all = await cli('proof', 'create', '--collection', collection, '--out', proofJson)
    assert.equal(all.exitCode, 0, all.stderr)
    const ofCollection = JSON.parse(await readFile(proofJson, 'utf8')) as ProofFile
    assert.deepEqual(ofCollection.statements.map(({ cid }) => cid).sort(), [image.cid, metadata.cid].sort())
  })
})
