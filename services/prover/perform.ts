import { randomBytes } from 'node:crypto'
import type { Database } from '../catalog/database.ts'
import { leavesOf, statementsOf, type ProofState } from '../catalog/proofs.ts'
import { beginChallenging, challengeProgress, unjudgedContents } from '../catalog/proofs-challenging.ts'
import { finishProof, type LeasedProof } from '../catalog/proofs-lease.ts'
import { beginStating, saveManifest, saveSignature, saveStatements } from '../catalog/proofs-stating.ts'
import { CHALLENGES, type Wakes } from '../catalog/wake.ts'
import { blockTime } from '../chain/anchor/block-time.ts'
import { chainIdOf } from '../chain/anchor/transaction.ts'
import type { ChainKey } from '../chain/chain-key.ts'
import { pinBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { RpcFailure } from '../chain/rpc-failure.ts'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { nonceOf, sourceText, type ChallengeSource } from '../core/proof/challenge.ts'
import { MerkleTree } from '../core/proof/merkle-tree.ts'
import type { AnchorKind } from '../core/proof/proof-file.ts'
import { MOST_SEED_AGE_SECONDS } from '../core/proof/seed-time.ts'
import { domainOf, hexOf, rootDigest, type Signer } from '../core/proof/typed-data.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { advanceAnchor } from './anchor.ts'
import { judgeContent } from './judge.ts'
import { manifestJson } from './manifest.ts'
import type { Payer } from './payer.ts'

/** Keeps a document for an account, pinned under a name; answers its CID. */
type KeepDocument = (
  tenantId: number,
  document: { name: string; text: AsyncIterable<string>; signal: AbortSignal },
) => Promise<string>

export interface PerformParts {
  db: Database
  wakes: Wakes
  signer: Signer
  keep: KeepDocument
  /** The chain that seeds are taken from and roots are anchored in; undefined: seeds are drawn here. */
  pool?: ProviderPool | undefined
  /** Undefined: nothing is anchored. */
  anchors?: Anchors | undefined
  /** Of anchors; undefined when there is no chain. */
  payer?: Payer | undefined
  /** Silence after which holders that have not answered are not waited for. @default 1 min */
  patienceMs?: number | undefined
  signal: AbortSignal
}

export interface Anchors {
  key: ChainKey
  /** Addresses of contracts, by what they are asked for. */
  contracts: Partial<Record<Exclude<AnchorKind, 'none'>, string>>
  /** A transaction that is in no block for so long is sent again with a higher fee. @default 3 min */
  replaceAfterMs?: number
  /** How often the chain is looked at for what became of one. @default 4 s */
  lookMs?: number
  /** An anchor of which nothing could be sent for so long has failed. @default 24 h */
  giveUpAfterMs?: number
}

const PATIENCE_MS = MINUTE_MS
/** Roots of one proof. */
const MOST_CONTENTS = 10_000
/** Roots that are judged together: some tens of milliseconds of checking signatures. */
const SLICE = 25
const ANSWERS_PAUSE_MS = SECOND_MS / 2

/**
 * Does what is due next for a proof.
 * @returns after how many milliseconds to come again
 * @throws CONFLICT when another process has taken it over; UNPROCESSABLE when it cannot be made; RpcFailure;
 *   AnchorHindrance; what `keep` throws; the signal's reason
 */
export async function performProof(proof: LeasedProof, parts: PerformParts): Promise<number | 'done'> {
  const steps: Record<ProofState, (proof: LeasedProof, parts: PerformParts) => Promise<number | 'done'>> = {
    queued: challenge,
    challenging: judge,
    stating: state,
    anchoring: anchor,
    done: nothing,
    failed: nothing,
  }
  return await steps[proof.state](proof, parts)
}

function nothing(): Promise<'done'> {
  return Promise.resolve('done')
}

async function challenge(proof: LeasedProof, { db, wakes, pool, signal }: PerformParts): Promise<number> {
  const seed = await drawSeed(pool, signal)
  const nodes = await beginChallenging(db, proof, { seed, nonce: nonceOf(seed), most: MOST_CONTENTS })
  for (const nodeId of nodes) wakes.announce(CHALLENGES, String(nodeId))
  return ANSWERS_PAUSE_MS
}

async function drawSeed(pool: ProviderPool | undefined, signal: AbortSignal): Promise<ChallengeSource> {
  if (pool === undefined) return { kind: 'random', value: hexOf(randomBytes(32)) }
  // One that stays, so that it can be looked up for as long as the proof is shown.
  const block = await pinBlock(pool, 'finalized', { signal })
  const ageSeconds = Date.now() / SECOND_MS - (await blockTime(pool, block, { signal }))
  if (ageSeconds > MOST_SEED_AGE_SECONDS / 2) {
    const hours = Math.floor(ageSeconds / 3_600)
    throw new RpcFailure('behind', `The newest finalised block is ${hours} h old: a challenge by it would show little.`)
  }
  const { number, hash } = block
  return { kind: 'block', number: Number(number), hash }
}

/** Judges what was answered, once everybody has answered or is waited for no longer. */
async function judge(proof: LeasedProof, { db, patienceMs = PATIENCE_MS, signal }: PerformParts): Promise<number> {
  const { open, silentMs } = await challengeProgress(db, proof.id)
  if (open > 0 && silentMs < patienceMs) return ANSWERS_PAUSE_MS
  const seed = seedOf(proof)
  let first = proof.statements
  for (;;) {
    signal.throwIfAborted()
    const answered = await unjudgedContents(db, proof.id, SLICE)
    if (answered.length === 0) break
    const contents = answered.map((content) => judgeContent(seed, content))
    await saveStatements(db, proof, { contents, first })
    first += contents.reduce((sum, { statements }) => sum + statements.length, 0)
  }
  if (first === 0) throw new HoldfastError('UNPROCESSABLE', 'No copy of what is to be proved could be shown.')
  await beginStating(db, proof)
  return 0
}

/** Keeps the statements and signs their root. */
async function state(proof: LeasedProof, parts: PerformParts): Promise<number | 'done'> {
  const { db, signer, keep, pool, signal } = parts
  const { id, tenantId, anchorKind } = proof
  const seed = seedOf(proof)
  const root = hexOf(new MerkleTree(await leavesOf(db, id)).root)
  let { manifest, takenAt } = proof
  if (manifest === null || takenAt === null) {
    takenAt = await newestCheck(proof, db)
    manifest = await keep(tenantId, {
      name: `proof ${id}`,
      text: manifestJson(db, { id, seed, root, takenAt }),
      signal,
    })
    await saveManifest(db, proof, { manifest, takenAt })
  }
  const contract = anchorKind === 'none' ? undefined : contractOf(anchorKind, parts)
  const domain = domainOf(pool === undefined ? 0 : await chainIdOf(pool, { signal }), contract)
  const signature = signer.sign(
    rootDigest(domain, {
      root: Buffer.from(root.slice(2), 'hex'),
      leaves: proof.statements,
      takenAt,
      seed: sourceText(seed),
      manifest: parseCid(manifest).bytes,
    }),
  )
  const { chainId, verifyingContract } = domain
  const signed = { root, chainId, contract: verifyingContract, signer: signer.address.toLowerCase(), signature }
  await saveSignature(db, proof, signed)
  return anchorKind === 'none' ? 'done' : 0
}

async function newestCheck({ id }: LeasedProof, db: Database): Promise<number> {
  let newest = 0
  for await (const { statement } of statementsOf(db, id)) newest = Math.max(newest, statement.checkedAt)
  return newest
}

async function anchor(proof: LeasedProof, { db, pool, payer, signal }: PerformParts): Promise<number | 'done'> {
  if (pool === undefined || payer === undefined) throw unanchorable(proof.anchorKind)
  const next = await advanceAnchor(proof, { db, pool, payer, signal })
  if (next !== 'final') return next
  await finishProof(db, proof)
  return 'done'
}

function contractOf(kind: Exclude<AnchorKind, 'none'>, { anchors }: PerformParts): string {
  const contract = anchors?.contracts[kind]
  if (contract === undefined) throw unanchorable(kind)
  return contract
}

function unanchorable(kind: AnchorKind): HoldfastError {
  return new HoldfastError('UNPROCESSABLE', `No contract and key are configured for anchors of the kind ${kind}.`)
}

function seedOf({ seed }: LeasedProof): ChallengeSource {
  if (seed === null) throw new TypeError('this proof has no seed')
  return seed
}
