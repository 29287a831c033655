import { AbiCoder } from 'ethers'
import type { CID } from 'multiformats/cid'
import type { Sql } from '../../services/catalog/database.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { cidKey } from '../../services/core/cid.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { startVerifier, type VerifierOptions } from '../../services/verifier/verifier.ts'
import type { TestChain } from './anvil.ts'
import type { TestApi } from './api.ts'
import { selectorOf } from './contracts-abi.ts'
import { memoryLog } from './web.ts'

const coder = AbiCoder.defaultAbiCoder()
/** URIs of one transaction: storing them costs gas. */
const PER_CALL = 100

/** A collection whose tokens point where they are told, by their place. */
export async function deployCollection(
  chain: TestChain,
  uris: readonly string[],
  contract = 'FixtureUris',
): Promise<Hex> {
  const address = await chain.deploy(contract)
  for (let from = 0; from < uris.length; from += PER_CALL) {
    const words = coder.encode(['string[]'], [uris.slice(from, from + PER_CALL)]).slice(2)
    await chain.send(address, selectorOf('mint(string[])') + words)
  }
  return address
}

/** Pins a root for the first account, as if these nodes had verified copies of it. */
export async function pinAsHeld(
  { db, wakes, tenantId }: TestApi,
  root: CID,
  nodeIds: readonly number[],
): Promise<void> {
  const cidText = cidKey(root)
  const pin = await createPinAcceptor(db, wakes).accept(tenantId, { cid: root, cidText })
  for (const nodeId of nodeIds) await addVerified(db, pin.contentId, nodeId)
  if (nodeIds.length > 1) await db.run(`update pin set status = 'pinned' where id = $1`, [pin.id])
}

async function addVerified(sql: Sql, contentId: string, nodeId: number): Promise<void> {
  await sql.run(
    `insert into replica (content_id, node_id, state, verified_at) values ($1, $2, 'verified', now())
     on conflict (content_id, node_id) do update set state = 'verified', verified_at = now()`,
    [contentId, nodeId],
  )
}

/** Runs a verifier for as long as `work` takes. */
export async function withVerifier<T>(
  { db, wakes }: TestApi,
  options: Pick<VerifierOptions, 'pool'> & Partial<VerifierOptions>,
  work: () => Promise<T>,
): Promise<T> {
  const stop = new AbortController()
  const { log } = memoryLog()
  const ended = startVerifier({ db, wakes, log, everyMs: 20, ...options, signal: stop.signal })
  try {
    return await work()
  } finally {
    stop.abort()
    await ended
  }
}
