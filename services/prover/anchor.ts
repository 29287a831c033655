import type { Database } from '../catalog/database.ts'
import {
  addTransaction,
  isReserved,
  openAnchor,
  placeAnchor,
  reserveNonce,
  returnNonce,
  signedAgoMs,
  type Anchor,
} from '../catalog/proofs-anchor.ts'
import type { LeasedProof } from '../catalog/proofs-lease.ts'
import { anchorCall, anchoredAt, isAnchorCode, saysAnchored, type OnChain } from '../chain/anchor/anchor-call.ts'
import { receiptOf, type Receipt } from '../chain/anchor/receipt.ts'
import { codeAt, nextNonce, sendTransaction, signCall } from '../chain/anchor/transaction.ts'
import type { ChainKey } from '../chain/chain-key.ts'
import type { Hex } from '../chain/hex.ts'
import { pinBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { hasKind } from '../chain/rpc-failure.ts'
import { parseCid } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MINUTE_MS } from '../core/units.ts'

export interface AnchorParts {
  db: Database
  pool: ProviderPool
  /** Pays for the transactions. */
  key: ChainKey
  /** A transaction that is in no block for so long is sent again with a higher fee. @default 3 min */
  replaceAfterMs?: number | undefined
  signal: AbortSignal
}

/** What is to be anchored, and where. */
interface Wanted {
  kind: OnChain
  contract: Hex
  root: Hex
  publisher: Hex
  data: Hex
}

const REPLACE_AFTER_MS = 3 * MINUTE_MS
/** Each costs an eighth more; what lies still then waits for something else than money. */
const MOST_REPLACEMENTS = 10

/**
 * Does what is due for a proof's anchor, and answers whether it is final: in a block that is finalised. A transaction is
 * written down before it is sent, so that whoever takes the proof up later sends the same one; one that a reorganisation
 * has taken out of the chain, or that the network has forgotten, is sent again, and replaced under the same nonce.
 * @throws UNPROCESSABLE when the contract is not there or refuses; RpcFailure
 */
export async function advanceAnchor(proof: LeasedProof, parts: AnchorParts): Promise<boolean> {
  const { db, pool, key, signal } = parts
  const wanted = wantedOf(proof, key.address)
  const anchor = await openAnchor(db, proof.id, { chainId: proof.chainId ?? 0, publisher: key.address })
  const found = await includedOf(anchor, parts)
  if (found?.receipt.hasSucceeded === true) return await settle(proof, wanted, found, parts)
  if (anchor.state === 'included') {
    await placeAnchor(db, proof.id, { state: 'pending', transaction: null, block: null })
  }
  if (await isAnchoredByOthers(proof, wanted, parts)) return true
  if (found !== undefined && (await isDeep(pool, found.receipt.block.number, signal))) throw refused(undefined)
  try {
    if (found === undefined) await send(proof, anchor, wanted, parts)
  } catch (error) {
    if (!hasKind(error, 'reverted')) throw error
    await returnNonce(db, proof.id)
    // Somebody else may have just anchored it: then that becomes final.
    const latest = await pinBlock(pool, 'latest', { signal })
    if (!((await anchoredAt(wanted, { pool, block: latest, signal })) ?? 0)) throw refused(error)
  }
  return false
}

function wantedOf({ anchorKind, contract, root, takenAt, statements, manifest }: LeasedProof, publisher: Hex): Wanted {
  if (anchorKind === 'none' || contract === null || root === null) throw new TypeError('this proof is not signed')
  const bytes = manifest === null ? new Uint8Array() : parseCid(manifest).bytes
  const anchored = { root: root as Hex, leaves: statements, takenAt: takenAt ?? 0, manifest: bytes }
  const data = anchorCall(anchorKind, anchored)
  return { kind: anchorKind, contract: contract as Hex, root: root as Hex, publisher, data }
}

interface Included {
  hash: string
  receipt: Receipt
}

/** Whichever of the transactions is in a block. */
async function includedOf({ transactions }: Anchor, { pool, signal }: AnchorParts): Promise<Included | undefined> {
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
  { db, pool, signal }: AnchorParts,
): Promise<boolean> {
  const { block, logs } = receipt
  if (!logs.some((log) => saysAnchored(log, wanted))) throw refused(undefined)
  const isFinal =
    (await isDeep(pool, block.number, signal)) && (await pinBlock(pool, block.number, { signal })).hash === block.hash
  await placeAnchor(db, proof.id, { state: isFinal ? 'final' : 'included', transaction: hash, block })
  return isFinal
}

/** Some chains and nodes call their newest block finalised. */
const LEAST_DEPTH = 5n

async function isDeep(pool: ProviderPool, number: bigint, signal: AbortSignal): Promise<boolean> {
  const finalized = await pinBlock(pool, 'finalized', { signal })
  if (number > finalized.number) return false
  return number + LEAST_DEPTH <= (await pinBlock(pool, 'latest', { signal })).number
}

/** Of times of EAS it does not matter who asked for them. */
async function isAnchoredByOthers(proof: LeasedProof, wanted: Wanted, parts: AnchorParts): Promise<boolean> {
  const { db, pool, signal } = parts
  const finalized = await pinBlock(pool, 'finalized', { signal })
  const time = await anchoredAt(wanted, { pool, block: finalized, signal })
  if (time === undefined || time === 0 || !(await isDeep(pool, finalized.number, signal))) return false
  await placeAnchor(db, proof.id, { state: 'final', transaction: null, block: finalized })
  return true
}

async function send(proof: LeasedProof, anchor: Anchor, wanted: Wanted, parts: AnchorParts): Promise<void> {
  const { db, pool, key, replaceAfterMs = REPLACE_AFTER_MS, signal } = parts
  const newest = anchor.transactions.at(-1)
  if (newest === undefined) await refuseOtherCode(wanted, parts)
  const nonce = await nonceFor(proof, anchor, parts)
  const isSame = newest?.nonce === nonce
  const isLast = anchor.transactions.filter((one) => one.nonce === nonce).length > MOST_REPLACEMENTS
  if (newest !== undefined && isSame && (isLast || (await signedAgoMs(db, newest)) < replaceAfterMs)) {
    await sendTransaction(pool, newest.raw as Hex, { signal })
    return
  }
  const { chainId } = anchor
  const { contract: to, data } = wanted
  const before = isSame ? newest : undefined
  const transaction = await signCall({ pool, key, chainId, to, data, nonce, before, signal })
  await addTransaction(db, proof.id, transaction)
  await sendTransaction(pool, transaction.raw, { signal })
}

/** The nonce that it has, unless that is gone for good, or nobody comes to fill the gap before it. */
async function nonceFor(proof: LeasedProof, anchor: Anchor, { db, pool, signal }: AnchorParts): Promise<number> {
  const next = await nextNonce(pool, anchor.publisher as Hex, 'latest', { signal })
  const { nonce } = anchor
  if (nonce === null) return await reserveNonce(db, proof.id, next)
  const isGone = (await nextNonce(pool, anchor.publisher as Hex, 'finalized', { signal })) > nonce
  const isBehindGap = next < nonce && !(await isReserved(db, anchor, next))
  return isGone || isBehindGap ? await reserveNonce(db, proof.id, next) : nonce
}

/** A call of an address without the contract would succeed, and anchor nothing. */
async function refuseOtherCode({ kind, contract }: Wanted, { pool, signal }: AnchorParts): Promise<void> {
  if (isAnchorCode(kind, await codeAt(pool, contract, { signal }))) return
  throw new HoldfastError('UNPROCESSABLE', `At ${contract} there is no contract for anchors of the kind ${kind}.`)
}

function refused(cause: unknown): HoldfastError {
  return new HoldfastError('UNPROCESSABLE', 'The contract does not anchor this root.', { cause })
}
