import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { startChain } from '../support/anvil.ts'
import { callOf } from '../support/contract-call.ts'
import { Cluster } from '../support/cluster.ts'
import { deployCollection } from '../support/collections.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/until.ts'

function json(image = ''): string {
  return JSON.stringify({ image: `ipfs://${image}` })
}

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

  test('that is guarded has pinned what its tokens lead to, and what they lead to later', async () => {
    await using chain = await startChain()
    await using cluster = await Cluster.start({ HOLDFAST_CHAIN_RPC: chain.url })
    const environment = { HOLDFAST_URL: cluster.ready.api, HOLDFAST_TOKEN: cluster.ready.token }
    const upload = async (text: string): Promise<string> => (await cluster.upload(text, '?name=own')).cid
    const images = [await upload('image 1'), await upload('image 2')]
    const files = [await upload(json(images[0])), await upload(json(images[1]))]
    const address = await chain.deploy('FixtureEvents')
    await chain.send(address, callOf('mintAs(uint256,string)', 7, `ipfs://${files[0]}`))
    const collection = `eip155:31337/erc721:${address}`
    const cli = async (...words: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await runCli(words, { environment })
      assert.equal(exitCode, 0, stderr)
      return stdout
    }
    await cli('collection', 'guard', collection, '--keep-history', 'forever', '--day-size', '1GiB')
    assert.match(await cli('collection', 'guards'), new RegExp(`^${collection}\tdefault\tforever`))
    const isKept = async (pins: number): Promise<boolean> => {
      const text = await cli('collection', 'guard-status', collection, '--json')
      const { figures } = JSON.parse(text) as { figures: { unread: number; pins: Record<string, number> } }
      return figures.unread === 0 && figures.pins['pinned'] === pins
    }
    await until('the first token', () => isKept(2), 60_000)
    await chain.send(address, callOf('setTokenURI(uint256,string)', 7, `ipfs://${files[1]}`))
    await until('what it leads to now', () => isKept(4), 60_000)
    await cli('collection', 'unguard', collection)
    assert.equal(await cli('collection', 'guards'), '')
    const { results } = await cluster.json<{ results: { pin: { name: string } }[] }>('/psa/pins?limit=100')
    assert.deepEqual([...new Set(results.map(({ pin }) => pin.name))], ['own'])
  })
})
