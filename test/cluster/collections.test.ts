import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { startChain } from '../support/anvil.ts'
import { Cluster } from '../support/cluster.ts'
import { deployCollection } from '../support/collections.ts'
import { runCli } from '../support/run-cli.ts'

suite('a collection', { timeout: 240_000 }, () => {
  test('whose content this cluster keeps is verified over its nodes, and what nobody has is missed', async () => {
    await using chain = await startChain()
    await using cluster = await Cluster.start({ HOLDFAST_CHAIN_RPC: chain.url })
    const image = await cluster.upload('one image', '?name=image')
    const metadata = await cluster.upload(JSON.stringify({ image: `ipfs://${image.cid}` }), '?name=metadata')
    for (const { pin } of [image, metadata]) await cluster.pinned(pin.requestid, 2)
    const uris = [`ipfs://${metadata.cid}`, 'ipfs://bafkreidivzimqfqtoqxkrpge6bjyhlvxqs3rhe73owtmdulaxr5do5in7u']
    const address = await deployCollection(chain, uris)
    const environment = { HOLDFAST_URL: cluster.ready.api, HOLDFAST_TOKEN: cluster.ready.token }
    const words = ['collection', 'verify', `eip155:31337/erc721:${address}`, '--block', 'latest', '--json']
    const { exitCode, stdout, stderr } = await runCli(words, { environment })
    const { figures } = JSON.parse(stdout || '{}') as { figures?: { verdicts: Record<string, number> } }
    assert.deepEqual(figures?.verdicts, { MISSING: 1, VERIFIED: 1 }, stderr)
    assert.equal(exitCode, 5)
  })
})
