import type { Abortable } from '../../core/block-source.ts'
import { signedDigest } from '../../core/proof/check-proof.ts'
import { NO_CONTRACT } from '../../core/proof/typed-data.ts'
import type { ProofFile } from '../../core/proof/proof-file.ts'
import { signerOf } from '../chain-key.ts'
import { isSignedByContract } from '../contract-signature.ts'
import type { Hex } from '../hex.ts'
import { pinBlock, type ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { hasKind } from '../rpc-failure.ts'
import { anchoredAt, saysAnchored, type OnChain } from './anchor-call.ts'
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
): Promise<string[]> {
  const at = { pool, ...(signal && { signal }) }
  const { domain, signer, signature, seed } = proof
  const chainId = await chainIdOf(pool, at)
  if (chainId !== domain.chainId) return [`it is about the chain ${domain.chainId}, and this is ${chainId}`]
  const problems: string[] = []
  if (!isSignedByKey(proof)) {
    const block = await pinBlock(pool, 'latest', at)
    const signed = { digest: signedDigest(proof), signature: signature as Hex }
    if (!(await isSignedByContract(signer as Hex, signed, { ...at, block })))
      problems.push('its signer did not sign it')
  }
  if (seed.kind === 'block' && (await blockAt(BigInt(seed.number), at))?.hash !== seed.hash) {
    problems.push('the block of its seed is not in this chain')
  }
  return [...problems, ...(await problemsOfAnchor(proof, at))]
}

async function problemsOfAnchor(
  { anchor, domain, root }: ProofFile,
  at: { pool: ProviderPool } & Abortable,
): Promise<string[]> {
  if (anchor === null) {
    return domain.verifyingContract === NO_CONTRACT ? [] : ['it is to be anchored, and does not say that it is']
  }
  const { kind, publisher, transaction, block } = anchor
  const wanted = { kind, contract: domain.verifyingContract as Hex, root: root as Hex, publisher: publisher as Hex }
  const finalized = await pinBlock(at.pool, 'finalized', at)
  const time = await anchoredAt(wanted, { ...at, block: finalized })
  const problems = time === 0 ? ['its root is not anchored in a finalised block'] : []
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
