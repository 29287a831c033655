import type { Database } from '../catalog/database.ts'
import { freeNonce, openAnchor, placeAnchor, releaseNonce, type Anchor } from '../catalog/proofs-anchor.ts'
import type { LeasedProof } from '../catalog/proofs-lease.ts'
import { anchorCall, anchoredAt, saysAnchored } from '../chain/anchor/anchor-call.ts'
import { receiptOf, type Receipt } from '../chain/anchor/receipt.ts'
import type { Hex } from '../chain/hex.ts'
import { pinBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { hasKind } from '../chain/rpc-failure.ts'
import { parseCid } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { AnchorHindrance, hindranceOf } from './hindrance.ts'
import type { Payer } from './payer.ts'
import { nextOf, pushOn, sendFirst, type Wanted } from './send-anchor.ts'

export interface AnchorParts {
  db: Database
  pool: ProviderPool
  payer: Payer
  signal: AbortSignal
}

/** What lies long is looked at less often: after an eighth of the time that it lies there, up to so many looks. */
const LONGEST_LOOKS = 15
const SHARE_OF_AGE = 8

/**
 * Does what is due for a proof's anchor. A transaction is written down before it is sent, so that whoever takes the proof
 * up later sends the same one; one that a reorganisation has taken out of the chain, or that the network has forgotten, is
 * sent again, and replaced under the same nonce.
 * @returns `final` when it is in a block that is finalised; otherwise after how many milliseconds to look again
 * @throws AnchorHindrance for whatever keeps it; CONFLICT when another process has it; the signal's reason
 */
export async function advanceAnchor(proof: LeasedProof, parts: AnchorParts): Promise<number | 'final'> {
  const { db, payer, signal } = parts
  const account = { chainId: proof.chainId ?? 0, publisher: payer.address }
  const anchor = await openAnchor(db, proof.id, account)
  try {
    const isFinal = anchor.nonce === null ? await begin(proof, anchor, parts) : await follow(proof, anchor, parts)
    if (isFinal) return 'final'
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AnchorHindrance || hasCode(error, 'CONFLICT')) throw error
    throw hindranceOf(error, { ...account, address: anchor.publisher })
  }
  return Math.max(payer.lookMs, Math.min(LONGEST_LOOKS * payer.lookMs, anchor.firstAgeMs / SHARE_OF_AGE))
}

/** Sends the first transaction, when it is its turn. */
async function begin(proof: LeasedProof, anchor: Anchor, parts: AnchorParts): Promise<boolean> {
  const { db, payer, signal } = parts
  const wanted = wantedOf(proof, payer.address)
  const gate = payer.gateOf(wanted.contract)
  const isAfterFailure = gate.enter()
  try {
    await refuseOtherChain(anchor, payer)
    if (isAfterFailure) await payer.refuseWithoutMoney()
    if (await isAnchoredByOthers(proof, wanted, parts)) return true
    if ((await freeNonce(db, anchor, await payer.next())) !== undefined) await sendFirst(proof, anchor, wanted, parts)
    gate.open()
  } catch (error) {
    signal.throwIfAborted()
    // What concerns this proof alone keeps no other.
    if (hasCode(error, 'CONFLICT', 'CONFIG')) throw error
    if (!hasKind(error, 'reverted')) {
      throw gate.close(hindranceOf(error, { chainId: anchor.chainId, address: payer.address }))
    }
    await refuseUnlessAnchored(wanted, error, parts)
  }
  return false
}

/** Looks for what became of what was sent. */
async function follow(proof: LeasedProof, anchor: Anchor, parts: AnchorParts): Promise<boolean> {
  const { db, payer, signal } = parts
  const wanted = wantedOf(proof, anchor.publisher)
  await refuseOtherChain(anchor, payer)
  const found = await includedOf(anchor, parts)
  if (found?.receipt.hasSucceeded === true) return await settle(proof, wanted, found, parts)
  if (anchor.state === 'included') await placeAnchor(db, proof, { state: 'pending', transaction: null, block: null })
  if (await isAnchoredByOthers(proof, wanted, parts)) return true
  if (found === undefined) await pushOn(proof, anchor, wanted, parts)
  else if (await isForGood(found.receipt, parts)) {
    await releaseNonce(db, proof)
    await refuseUnlessAnchored(wanted, undefined, parts)
  }
  signal.throwIfAborted()
  return false
}

function wantedOf(
  { anchorKind, contract, root, takenAt, statements, manifest }: LeasedProof,
  publisher: string,
): Wanted {
  if (anchorKind === 'none' || contract === null || root === null) throw new TypeError('this proof is not signed')
  const bytes = manifest === null ? new Uint8Array() : parseCid(manifest).bytes
  const anchored = { root: root as Hex, leaves: statements, takenAt: takenAt ?? 0, manifest: bytes }
  const data = anchorCall(anchorKind, anchored)
  return { kind: anchorKind, contract: contract as Hex, root: root as Hex, publisher: publisher as Hex, data }
}

/** On another chain nothing of it is found, and all would be done once more. */
async function refuseOtherChain({ chainId }: Anchor, payer: Payer): Promise<void> {
  const actual = await payer.chainId()
  if (actual === chainId) return
  const sentence = `It is signed for chain ${chainId}, and the service is on chain ${actual} now (HOLDFAST_CHAIN_RPC).`
  throw new AnchorHindrance('CONFIG', sentence)
}

interface Included {
  hash: string
  receipt: Receipt
}

/** Whichever of the transactions is in a block. */
async function includedOf(anchor: Anchor, parts: AnchorParts): Promise<Included | undefined> {
  const { pool, signal } = parts
  const { nonce, state, transactions } = anchor
  // Before its nonce is used there is nothing to be found.
  if (state !== 'included' && nonce !== null && (await nextOf(anchor, parts)) <= nonce) return undefined
  for (const { hash } of transactions.toReversed()) {
    const receipt = await receiptOf(pool, hash, { signal })
    if (receipt !== undefined) return { hash, receipt }
  }
  return undefined
}

/** Notes the block, and whether it is there for good. */
async function settle(
  proof: LeasedProof,
  wanted: Wanted,
  { hash, receipt }: Included,
  parts: AnchorParts,
): Promise<boolean> {
  const { block, logs } = receipt
  const isFinal = await isForGood(receipt, parts)
  if (!logs.some((log) => saysAnchored(log, wanted))) {
    if (isFinal) throw refused(undefined)
    return false
  }
  await placeAnchor(parts.db, proof, { state: isFinal ? 'final' : 'included', transaction: hash, block })
  return isFinal
}

async function isForGood({ block }: Receipt, { pool, payer, signal }: AnchorParts): Promise<boolean> {
  if (!(await isDeep(block.number, payer))) return false
  return (await pinBlock(pool, block.number, { signal })).hash === block.hash
}

/** Some chains and nodes call their newest block finalised. */
const LEAST_DEPTH = 5n

async function isDeep(number: bigint, payer: Payer): Promise<boolean> {
  if (number > (await payer.finalized()).number) return false
  return number + LEAST_DEPTH <= (await payer.latest()).number
}

/** Of times of EAS it does not matter who asked for them. */
async function isAnchoredByOthers(proof: LeasedProof, wanted: Wanted, parts: AnchorParts): Promise<boolean> {
  const { db, pool, payer, signal } = parts
  const finalized = await payer.finalized()
  const time = await anchoredAt(wanted, { pool, block: finalized, signal })
  if (time === undefined || time === 0 || !(await isDeep(finalized.number, payer))) return false
  await placeAnchor(db, proof, { state: 'final', transaction: null, block: finalized })
  return true
}

/** Somebody else may have just anchored it: then that becomes final. */
async function refuseUnlessAnchored(wanted: Wanted, cause: unknown, { pool, signal }: AnchorParts): Promise<void> {
  const latest = await pinBlock(pool, 'latest', { signal })
  if (!((await anchoredAt(wanted, { pool, block: latest, signal })) ?? 0)) throw refused(cause)
}

function refused(cause: unknown): AnchorHindrance {
  return new AnchorHindrance('UNPROCESSABLE', 'The contract does not anchor this root.', { isLasting: true, cause })
}
