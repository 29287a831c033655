import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase } from '../../services/catalog/database.ts'
import { followingRole } from '../../services/catalog/chains.ts'
import { startChain } from '../support/anvil.ts'
import { callOf } from '../support/contract-call.ts'
import { Cluster } from '../support/cluster.ts'
import { startSecondControl } from '../support/second-control.ts'
import { until } from '../support/until.ts'

const TOKENS = 60
const ROOTS = 6
/** Longer than a dead process keeps its role. */
const TAKEOVER_MS = 60_000
/** More than are never taken for final. */
const DEEP = 80

test('a guard goes on, and misses nothing, when the process that follows the chain is killed in the middle of mints', async () => {
  await using chain = await startChain()
  const settings = { HOLDFAST_CHAIN_RPC: chain.url }
  await using cluster = await Cluster.start(settings)
  await using db = openDatabase(cluster.ready.database, { connections: 2 })
  const roots: string[] = []
  for (let root = 0; root < ROOTS; root++) roots.push((await cluster.upload(JSON.stringify({ name: `${root}` }))).cid)
  const uriOf = (place: number): string => `ipfs://${roots[place % ROOTS]}`
  const address = await chain.deploy('FixtureEvents')
  const collection = `eip155:31337/erc721:${address}`
  const body = JSON.stringify({ keepHistory: 'forever' })
  const headers = { 'content-type': 'application/json' }
  await cluster.json(`/v1/collections/${encodeURIComponent(collection)}/guard`, { method: 'PUT', headers, body })
  const epochOf = async (): Promise<number | undefined> => {
    const [row] = await db.query<{ epoch: number }>('select epoch::float8 as epoch from leader where role = $1', [
      followingRole('eip155:31337'),
    ])
    return row?.epoch
  }
  const present = async (): Promise<string[]> => {
    const rows = await db.query<{ id: string; uri: Buffer }>(
      `select token_id::text as id, uri from guard_uri
        where token_id >= 0 and superseded_at is null and uri is not null and not is_orphan order by token_id`,
    )
    return rows.map(({ id, uri }) => `${id} ${uri.toString()}`)
  }
  const first = await until('a process that follows', epochOf)
  await until('the guard to be read', async () => (await db.query('select from guard where read_at is not null'))[0])
  await using second = await startSecondControl(cluster, settings)
  assert.equal(await epochOf(), first)

  const mint = (id: number): Promise<void> => chain.send(address, callOf('mintAs(uint256,string)', id, uriOf(id)))
  let minted = 0
  for (; minted < TOKENS / 3; minted++) await mint(minted)
  await until('those tokens', async () => (await present()).length === minted)
  // It is killed while mints come.
  const killed = cluster.kill('control')
  for (; minted < (2 * TOKENS) / 3; minted++) await mint(minted)
  await killed
  // Nobody follows the chain yet.
  assert.equal(await epochOf(), first)
  for (let more = 0; more < TOKENS / 3; more++) await mint(minted++)
  await chain.send(address, callOf('setTokenURI(uint256,string)', 1, uriOf(2)))
  await chain.send(address, callOf('burn(uint256)', 0))

  const truth = Array.from({ length: minted }, (_, id) => `${id} ${uriOf(id === 1 ? 2 : id)}`).slice(1)
  const isTold = async (): Promise<boolean> => (await present()).join() === truth.join()
  await until('all tokens', isTold, TAKEOVER_MS).catch(async () => assert.deepEqual(await present(), truth))
  assert.equal(await epochOf(), first + 1)
  const versions = await db.query<{ id: string; count: number }>(
    `select token_id::text as id, count(*)::float8 as count from guard_uri
      where token_id >= 0 group by token_id having count(*) > 1 order by token_id`,
  )
  assert.deepEqual(versions, [
    { id: '0', count: 2 },
    { id: '1', count: 2 },
  ])
  await chain.rpc.call({ method: 'anvil_mine', params: [`0x${DEEP.toString(16)}`] })
  await until('all to be final', async () => {
    const open = await db.query('select from guard_uri where superseded_at is null and not is_final')
    return open.length === 0
  })
  const authorization = { authorization: `Bearer ${cluster.ready.token}` }
  const answer = await fetch(`${second.url}/v1/collections/${encodeURIComponent(collection)}/guard`, {
    headers: authorization,
  })
  const { waiting, figures } = (await answer.json()) as { waiting: unknown; figures: Record<string, unknown> }
  assert.equal(waiting, null)
  assert.deepEqual(
    [figures['tokens'], figures['provisional'], Object.values(figures['pins'] as object).reduce((a, b) => a + b, 0)],
    [truth.length, 0, ROOTS],
  )
})
