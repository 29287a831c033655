import type { Abortable } from '../../core/block-source.ts'
import { signedDigest, type ProofProblem } from '../../core/proof/check-proof.ts'
import { NO_CONTRACT } from '../../core/proof/typed-data.ts'
import type { ProofFile } from '../../core/proof/proof-file.ts'
import { CLOCK_SECONDS, seedTimeProblems } from '../../core/proof/seed-time.ts'
import { signerOf } from '../chain-key.ts'
import { isSignedByContract } from '../contract-signature.ts'
import type { Hex } from '../hex.ts'
import { pinBlock, type ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { hasKind } from '../rpc-failure.ts'
import { anchoredAt, saysAnchored, type OnChain } from './anchor-call.ts'
import { blockTime } from './block-time.ts'
import { receiptOf } from './receipt.ts'
import { chainIdOf } from './transaction.ts'

/** Whether the publisher's key has signed the proof. A contract that signs by ERC-1271 is for {@link problemsOnChain}. */
export function isSignedByKey(proof: ProofFile): boolean {
  return signerOf(signedDigest(proof), proof.signature) === proof.signer
}

/** What the chain says against a proof, in words: signer, seed and anchor. @throws RpcFailure when it says nothing */
export async function problemsOnChain(
  proof: ProofFile,
  pool: ProviderPool,
  { signal }: Abortable = {},
): Promise<ProofProblem[]> {
  const at = { pool, ...(signal && { signal }) }
  const { domain, signer, signature, seed } = proof
  const chainId = await chainIdOf(pool, at)
  if (chainId !== domain.chainId) {
    return [{ problem: `it is about the chain ${domain.chainId}, and this is ${chainId}` }]
  }
  const problems: ProofProblem[] = []
  if (!isSignedByKey(proof)) {
    const block = await pinBlock(pool, 'latest', at)
    const signed = { digest: signedDigest(proof), signature: signature as Hex }
    const isContracts = await isSignedByContract(signer as Hex, signed, { ...at, block })
    if (!isContracts) problems.push({ problem: 'its signer did not sign it' })
  }
  if (seed.kind === 'block') problems.push(...(await problemsOfSeed(proof, seed, at)))
  const ofAnchor = await problemsOfAnchor(proof, at)
  return [...problems, ...ofAnchor.map((problem) => ({ problem }))]
}

async function problemsOfSeed(
  proof: ProofFile,
  { number, hash }: { number: number; hash: string },
  at: { pool: ProviderPool } & Abortable,
): Promise<ProofProblem[]> {
  const block = await blockAt(BigInt(number), at)
  if (block?.hash !== hash) return [{ problem: 'the block of its seed is not in this chain' }]
  return seedTimeProblems(proof, await blockTime(at.pool, block, at))
}

async function problemsOfAnchor(
  { anchor, domain, root, takenAt }: ProofFile,
  at: { pool: ProviderPool } & Abortable,
): Promise<string[]> {
  if (anchor === null) {
    return domain.verifyingContract === NO_CONTRACT ? [] : ['it is to be anchored, and does not say that it is']
  }
  // It claims none, and is as good as one without.
  if (anchor.state === 'failed') return []
  const { kind, publisher, transaction, block } = anchor
  const wanted = { kind, contract: domain.verifyingContract as Hex, root: root as Hex, publisher: publisher as Hex }
  const finalized = await pinBlock(at.pool, 'finalized', at)
  const time = await anchoredAt(wanted, { ...at, block: finalized })
  const problems = time === 0 ? ['its root is not anchored in a finalised block'] : []
  if (time !== undefined && time !== 0 && time < takenAt - CLOCK_SECONDS) {
    problems.push('it was anchored before its statements were taken')
  }
  if (transaction === null) return kind === 'event' ? ['it is not anchored yet'] : problems
  return [...problems, ...(await problemsOfTransaction(wanted, { transaction, block, finalized }, at))]
}

async function problemsOfTransaction(
  wanted: { kind: OnChain; contract: Hex; root: Hex; publisher: Hex },
  anchor: { transaction: string; block: { number: number; hash: string } | null; finalized: ChainBlock },
  at: { pool: ProviderPool } & Abortable,
): Promise<string[]> {
  const receipt = await receiptOf(at.pool, anchor.transaction, at)
  if (receipt === undefined || !receipt.logs.some((log) => saysAnchored(log, wanted))) {
    return ['the transaction that it names does not anchor it']
  }
  if (receipt.from !== wanted.publisher) return ['somebody else sent the transaction that it names']
  const { number, hash } = receipt.block
  if (anchor.block !== null && (anchor.block.hash !== hash || anchor.block.number !== Number(number))) {
    return ['its anchor is in another block than it says']
  }
  return number <= anchor.finalized.number ? [] : ['its anchor is not final yet']
}

async function blockAt(number: bigint, at: { pool: ProviderPool } & Abortable): Promise<ChainBlock | undefined> {
  try {
    return await pinBlock(at.pool, number, at)
  } catch (error) {
    if (hasKind(error, 'behind')) return undefined
    throw error
  }
}
