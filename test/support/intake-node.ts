import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlockStore } from '../../services/blocks/contract.ts'
import { openBlockStore } from '../../services/blocks/store.ts'
import { NO_RULES } from '../../services/core/rules-in-force.ts'
import { intake } from '../../services/node/intake.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferServer } from '../../services/transfer/server.ts'
import type { TestApi } from './api.ts'
import { addNode } from './node-rows.ts'
import { memoryLog } from './web.ts'

/** A real store with a real intake on loopback, registered in the API's database. */
export interface IntakeNode extends AsyncDisposable {
  name: string
  store: BlockStore
}

/**
 * @param knows whether the node takes the API for a controller
 * @param provenKey the key that the database has of the node; its own when undefined
 */
export async function openIntakeNode(
  api: TestApi,
  name: string,
  { knows = true, provenKey }: { knows?: boolean; provenKey?: string } = {},
): Promise<IntakeNode> {
  await using opening = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-intake-'))
  opening.defer(() => rm(folder, { recursive: true, force: true }))
  const store = opening.use(await openBlockStore(join(folder, 'blocks')))
  const identity = await loadIdentity(join(folder, 'node.pem'))
  const directory = {
    node: () => undefined,
    roleOf: (key: string) => (knows && key === api.identity.publicKey ? ('controller' as const) : undefined),
  }
  const routes = [intake({ store, rules: NO_RULES, log: memoryLog().log, epoch: () => 1 })]
  const server = opening.use(
    await openTransferServer({ store, identity, directory, host: '127.0.0.1', port: 0, routes }),
  )
  const publicKey = provenKey ?? identity.publicKey
  await addNode(api.db, { name, region: name.split('-')[0] ?? '', publicKey, transfer: `127.0.0.1:${server.port}` })
  const owned = opening.move()
  return { name, store, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
