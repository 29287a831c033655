import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { AnchorKind, ProofFile } from '../../services/core/proof/proof-file.ts'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'
import { readChainKey } from '../../services/chain/chain-key.ts'
import { createSync } from '../../services/scheduler/sync.ts'
import { startProver, type ProverOptions } from '../../services/prover/prover.ts'
import type { TestApi } from './api.ts'
import { MemoryBlocks } from './dag.ts'
import { joinProving, ProvingNode } from './proving-node.ts'
import { pinAsHeld } from './collections.ts'
import { until } from './until.ts'
import { memoryLog } from './web.ts'

/** The second of the accounts that anvil makes. */
export const TEST_KEY = readChainKey(
  '59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  'the key of tests',
)

export interface ProofView {
  id: string
  state: string
  statements: number
  error: { code: string; message: string } | null
  hindrance: { code: string; message: string; since: string; triedAgainAt: string } | null
  refused: { cid: string; isStated: boolean; refused: { node: string; reason: string }[] }[]
  anchor: { state: string; transaction: string | null; block: { number: number; hash: string } | null } | null
}

/** Nodes that hold things and answer challenges, beside an API. */
export interface Holders extends AsyncDisposable {
  nodes: ProvingNode[]
  ids: number[]
  source: MemoryBlocks
  /** Pins a file for the first account, held by the first so many nodes. */
  pin(text: string, copies?: number): Promise<CID>
}

export async function startHolders(api: TestApi, count: number): Promise<Holders> {
  const sync = createSync(api.db, { wakes: api.wakes, settings: { lookMs: 50 } })
  const stop = new AbortController()
  const nodes = Array.from({ length: count }, () => new ProvingNode())
  const joined = await Promise.all(
    nodes.map((node, index) =>
      joinProving(api.db, sync, node, `region-${index}-${node.publicKey.slice(0, 4).replaceAll(/\W/g, 'x')}`),
    ),
  )
  const living = joined.map(({ live }) => live(stop.signal))
  const source = new MemoryBlocks()
  return {
    nodes,
    ids: joined.map(({ id }) => id),
    source,
    async pin(text, copies = count) {
      const root = source.addRaw(Buffer.from(text))
      for (const node of nodes.slice(0, copies)) await node.hold(root, source)
      await pinAsHeld(
        api,
        root,
        joined.slice(0, copies).map(({ id }) => id),
      )
      return root
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(living)
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    },
  }
}

/** Keeps documents in memory, as files of one block. */
export class Documents {
  readonly kept = new Map<string, string>()

  readonly keep = async (_tenantId: number, { text }: { text: AsyncIterable<string> }): Promise<string> => {
    let whole = ''
    for await (const part of text) whole += part
    const cid = CID.createV1(RAW, createDigest(SHA2_256, hash('sha256', whole, 'buffer'))).toString()
    this.kept.set(cid, whole)
    return cid
  }
}

/** Runs a prover for as long as `work` takes. */
export async function withProver<T>(
  { db, wakes }: TestApi,
  options: Partial<ProverOptions>,
  work: () => Promise<T>,
): Promise<T> {
  const stop = new AbortController()
  const { keep } = new Documents()
  const ended = startProver({
    db,
    wakes,
    log: memoryLog().log,
    signer: TEST_KEY,
    keep,
    everyMs: 20,
    patienceMs: 2_000,
    ...options,
    signal: stop.signal,
  })
  try {
    return await work()
  } finally {
    stop.abort()
    await ended
  }
}

export async function askForProof(
  api: TestApi,
  body: { pins?: string[]; collection?: string; anchor?: AnchorKind } = {},
): Promise<ProofView> {
  return await api.json<ProofView>('POST', '/v1/proofs', { body })
}

/** Waits until a proof has come to one of the states, or has failed. */
export async function proofIn(api: TestApi, id: string, ...states: string[]): Promise<ProofView> {
  return await until(`the proof ${id} ${states.join(' or ')}`, async () => {
    const view = await api.json<ProofView>('GET', `/v1/proofs/${id}`)
    return [...states, 'failed'].includes(view.state) ? view : undefined
  })
}

export async function fileOf(api: TestApi, id: string, cid?: string): Promise<ProofFile> {
  return await api.json<ProofFile>('GET', `/v1/proofs/${id}.json${cid === undefined ? '' : `?cid=${cid}`}`)
}
