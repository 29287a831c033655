import type { CID } from 'multiformats/cid'
import { deleteGuard, putGuard, type GuardLimits } from '../../services/catalog/guards.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { GUARDS } from '../../services/catalog/wake.ts'
import type { Hex } from '../../services/chain/hex.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import { cidKey } from '../../services/core/cid.ts'
import { GIB } from '../../services/core/units.ts'
import { startGuards, type GuardOptions } from '../../services/verifier/guard/guards.ts'
import type { GuardSettings } from '../../services/verifier/guard/settings.ts'
import { startChain, type TestChain } from './anvil.ts'
import { callOf } from './contract-call.ts'
import { MemoryBlocks } from './dag.ts'
import { simulatedCluster, type SimulatedCluster } from './simulated-cluster.ts'
import { until } from './until.ts'
import { memoryLog } from './web.ts'

/** What takes hours in earnest takes parts of a second. */
const QUICK: Partial<GuardSettings> = {
  minDepth: 4,
  pollMs: 30,
  finalityBlocks: 1,
  stuckMs: 200,
  contentMs: 50,
  tendMs: 50,
  leadMs: 1_000,
  retryMs: 200,
}

const LIMITS: GuardLimits = { tokenBytes: GIB, collectionBytes: 100 * GIB, dayBytes: 100 * GIB }

/** A chain, a simulated cluster, and content; guards are started over them. */
export class GuardedChain implements AsyncDisposable {
  readonly chain: TestChain
  readonly cluster: SimulatedCluster
  readonly tenantId: number
  /** What gateways have. Simulated nodes get roots from the network. */
  readonly blocks = new MemoryBlocks()
  readonly #stack: AsyncDisposableStack

  constructor(chain: TestChain, cluster: SimulatedCluster, tenantId: number, stack: AsyncDisposableStack) {
    this.chain = chain
    this.cluster = cluster
    this.tenantId = tenantId
    this.#stack = stack
  }

  static async open(): Promise<GuardedChain> {
    await using stack = new AsyncDisposableStack()
    const chain = stack.use(await startChain())
    const cluster = stack.use(await simulatedCluster())
    await ensureDefaultPolicy(cluster.db)
    const tenantId = await ensureTenant(cluster.db, 'guarding')
    for (const region of ['a', 'b', 'c']) cluster.addNode(region)
    return new GuardedChain(chain, cluster, tenantId, stack.move())
  }

  /** Starts a guard in a process of its own, as it were. It stops with the chain, or before. */
  run(settings: Partial<GuardSettings> = {}, options: Partial<GuardOptions> = {}): AsyncDisposable {
    const { db, wakes } = this.cluster
    const stop = new AbortController()
    const { log } = memoryLog()
    const holder = { name: 'shelf', get: (cid: CID) => this.blocks.get(cid) }
    const ended = startGuards({
      db,
      wakes,
      pool: new ProviderPool([{ name: 'one', url: this.chain.url }]),
      log,
      holders: () => Promise.resolve([holder]),
      ...options,
      settings: { ...QUICK, ...settings },
      signal: stop.signal,
    })
    return this.#stack.use({
      async [Symbol.asyncDispose]() {
        stop.abort()
        await ended
      },
    })
  }

  async guard(
    address: Hex,
    {
      keepMs = null,
      limits = {},
      standard = 'erc721',
    }: { keepMs?: number | null; limits?: Partial<GuardLimits>; standard?: string } = {},
  ): Promise<string> {
    const { db, wakes } = this.cluster
    const { guard } = await putGuard(db, this.tenantId, {
      collection: `eip155:31337/${standard}:${address}`,
      chainId: 'eip155:31337',
      address,
      policy: 'default',
      keepMs,
      limits: { ...LIMITS, ...limits },
    })
    wakes.announce(GUARDS)
    return guard.id
  }

  async unguard(address: Hex): Promise<void> {
    await deleteGuard(this.cluster.db, this.tenantId, `eip155:31337/erc721:${address}`)
  }

  /** Content that the network has. */
  add(bytes: Uint8Array | string): CID {
    return this.#known(this.blocks.addRaw(Buffer.from(bytes)))
  }

  addFolder(entries: [string, CID][]): CID {
    return this.#known(this.blocks.addDirectory(entries))
  }

  /** Metadata with an image; answers the roots of both. */
  addToken(name: string): { uri: string; roots: string[] } {
    const image = this.add(`image of ${name}`)
    const metadata = this.add(JSON.stringify({ name, image: `ipfs://${image.toString()}` }))
    return { uri: `ipfs://${metadata.toString()}`, roots: [cidKey(metadata), cidKey(image)].sort() }
  }

  #known(cid: CID): CID {
    this.cluster.world.network.add(cidKey(cid))
    return cid
  }

  /** Calls a contract, in a block of its own. */
  async call(address: Hex, signature: string, ...values: unknown[]): Promise<void> {
    await this.chain.send(address, callOf(signature, ...values))
  }

  async mine(blocks: number): Promise<void> {
    await this.chain.rpc.call({ method: 'anvil_mine', params: [`0x${blocks.toString(16)}`] })
  }

  async reorg(depth: number, transactions: readonly [object, number][] = []): Promise<void> {
    await this.chain.rpc.call({ method: 'anvil_reorg', params: [depth, transactions] })
  }

  /** Roots that the account pins, sorted. */
  async roots(): Promise<string[]> {
    const rows = await this.cluster.db.query<{ cid: string }>('select cid from pin where tenant_id = $1', [
      this.tenantId,
    ])
    return rows.map(({ cid }) => cid).sort()
  }

  async hasRoots(...roots: string[]): Promise<void> {
    const wanted = roots.toSorted().join()
    try {
      await until('the pins', async () => (await this.roots()).join() === wanted)
    } catch (error) {
      throw new Error(`pinned: ${(await this.roots()).join()}, not ${wanted}`, { cause: error })
    }
  }

  /** Present URIs by token, with `final` or not. */
  async uris(guardId: string): Promise<Map<string, { uri: string | null; isFinal: boolean }>> {
    const rows = await this.cluster.db.query<{ id: string; uri: Buffer | null; isFinal: boolean }>(
      `select token_id::text as id, uri, is_final as "isFinal" from guard_uri
        where guard_id = $1 and superseded_at is null and token_id >= 0 order by token_id`,
      [guardId],
    )
    return new Map(rows.map(({ id, uri, isFinal }) => [id, { uri: uri?.toString('utf8') ?? null, isFinal }]))
  }

  async hasUri(guardId: string, token: number, uri: string | null, isFinal?: boolean): Promise<void> {
    await until(`token ${token} at ${uri}`, async () => {
      const found = (await this.uris(guardId)).get(String(token))
      return (found?.uri ?? null) === uri && (isFinal === undefined || found?.isFinal === isFinal)
    })
  }

  async events(type: string): Promise<{ subject: string; data: Record<string, unknown> }[]> {
    return await this.cluster.db.query(
      'select subject, data from event where tenant_id = $1 and type = $2 order by id',
      [this.tenantId, type],
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}
