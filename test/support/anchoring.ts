import type { ChainKey } from '../../services/chain/chain-key.ts'
import { quantityOf, type Hex } from '../../services/chain/hex.ts'
import type { RpcCall } from '../../services/chain/json-rpc.ts'
import { ProviderPool } from '../../services/chain/provider-pool.ts'
import type { AnchorKind } from '../../services/core/proof/proof-file.ts'
import type { Anchors } from '../../services/prover/perform.ts'
import { startChain, type TestChain } from './anvil.ts'
import { openTestApi, type TestApi } from './api.ts'
import { askForProof, startHolders, TEST_KEY, type Holders, type ProofView } from './proofs.ts'
import { until } from './until.ts'

export interface Sent {
  hash: string
  nonce: number
  maxFee: string
}

/** What is done to a call on its way to the chain. */
export type OnTheWay = (call: RpcCall, pass: () => Promise<unknown>) => Promise<unknown>

/** A chain with the contracts, an API, and two nodes that hold what is to be proved. */
export class Anchoring implements AsyncDisposable {
  readonly chain: TestChain
  readonly api: TestApi
  readonly pool: ProviderPool
  readonly contracts: Record<Exclude<AnchorKind, 'none'>, Hex>
  readonly #holders: Holders
  readonly #stack: AsyncDisposableStack
  #asked = 0

  private constructor(
    parts: Pick<Anchoring, 'chain' | 'api' | 'pool' | 'contracts'>,
    holders: Holders,
    stack: AsyncDisposableStack,
  ) {
    this.chain = parts.chain
    this.api = parts.api
    this.pool = parts.pool
    this.contracts = parts.contracts
    this.#holders = holders
    this.#stack = stack
  }

  static async open(): Promise<Anchoring> {
    await using opening = new AsyncDisposableStack()
    const chain = opening.use(await startChain())
    const anchorKinds = ['none', 'eas-timestamp', 'pin-anchor', 'event'] as const
    const api = opening.use(await openTestApi({ signer: TEST_KEY, anchorKinds }))
    const holders = opening.use(await startHolders(api, 2))
    const pool = new ProviderPool([{ name: 'one', url: chain.url }])
    const pinAnchor = await chain.deployOwn('PinAnchor')
    const contracts = { 'eas-timestamp': await chain.deploy('FixtureEas'), 'pin-anchor': pinAnchor, event: pinAnchor }
    return new Anchoring({ chain, api, pool, contracts }, holders, opening.move())
  }

  /** What a prover needs to anchor, and looks often. */
  anchors(key: ChainKey, options: Partial<Anchors> = {}): Anchors {
    return { key, contracts: this.contracts, lookMs: 30, ...options }
  }

  /** Asks for a proof of a file that nobody else has. */
  async ask(anchor: AnchorKind): Promise<string> {
    const root = await this.#holders.pin(`content ${this.#asked++}`)
    return (await askForProof(this.api, { pins: [String(root)], anchor })).id
  }

  async rpc(method: string, ...params: unknown[]): Promise<unknown> {
    return await this.chain.rpc.call({ method, params })
  }

  async mine(blocks: number): Promise<void> {
    await this.rpc('anvil_mine', quantityOf(blocks))
  }

  /** Transactions come into blocks only when one is mined, while the work lasts. */
  async withoutMining<T>(work: () => Promise<T>): Promise<T> {
    await this.rpc('evm_setAutomine', false)
    try {
      return await work()
    } finally {
      await this.rpc('evm_setAutomine', true)
    }
  }

  /** A pool of one provider, with something between it and the chain. */
  poolBy(onTheWay: OnTheWay): ProviderPool {
    const pool = new ProviderPool([{ name: 'one', url: this.chain.url }])
    for (const provider of pool.providers) {
      const pass = provider.call.bind(provider)
      provider.call = (call, signal) => onTheWay(call, () => pass(call, signal))
    }
    return pool
  }

  view(id: string): Promise<ProofView> {
    return this.api.json<ProofView>('GET', `/v1/proofs/${id}`)
  }

  /** Waits until a proof is as wanted. */
  seen(id: string, what: string, isSo: (view: ProofView) => boolean): Promise<ProofView> {
    return until(`the proof with ${what}`, async () => {
      const view = await this.view(id)
      return isSo(view) && view
    })
  }

  /** Mines until a proof is anchored for good. */
  final(id: string): Promise<ProofView> {
    return until('the final anchor', async () => {
      await this.mine(1)
      const view = await this.view(id)
      return view.anchor?.state === 'final' && view.state === 'done' && view
    })
  }

  async sentOf(id: string): Promise<Sent[]> {
    const [row] = await this.api.db.query<{ transactions: Sent[] }>(
      'select transactions from proof_anchor where proof_id = $1',
      [id],
    )
    return row?.transactions ?? []
  }

  /** Waits until so many transactions are written down for a proof. */
  sends(id: string, count = 1): Promise<Sent[]> {
    return until(`${count} transactions`, async () => {
      const sent = await this.sentOf(id)
      return sent.length >= count && sent
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}
