import {
  isTaken,
  MOST_OUT,
  releaseNonce,
  withdrawTransaction,
  writeFirst,
  writeReplacement,
  type Anchor,
} from '../catalog/proofs-anchor.ts'
import type { LeasedProof } from '../catalog/proofs-lease.ts'
import { isAnchorCode, type OnChain } from '../chain/anchor/anchor-call.ts'
import {
  areGone,
  codeAt,
  nextNonce,
  quoteCall,
  sendTransaction,
  signCall,
  type SignedTransaction,
} from '../chain/anchor/transaction.ts'
import type { Hex } from '../chain/hex.ts'
import { hasKind, RpcFailure } from '../chain/rpc-failure.ts'
import type { AnchorParts } from './anchor.ts'
import { AnchorHindrance } from './hindrance.ts'

/** What is to be anchored, and where. */
export interface Wanted {
  kind: OnChain
  contract: Hex
  root: Hex
  publisher: Hex
  data: Hex
}

/** Each costs an eighth more; what lies still then waits for something else than money. */
const MOST_REPLACEMENTS = 10

/**
 * Signs and sends an anchor's transaction when none of it can come into a block any more. All that can fail is asked for
 * before it has a nonce, so that others do not wait behind one that cannot be sent.
 * @throws AnchorHindrance; CONFLICT; RpcFailure `reverted` when the contract refuses
 */
export async function sendFirst(
  proof: LeasedProof,
  { chainId }: Anchor,
  wanted: Wanted,
  parts: AnchorParts,
): Promise<void> {
  const { db, pool, payer, signal } = parts
  const { contract: to, data } = wanted
  await refuseOtherCode(wanted, chainId, parts)
  const quote = await quoteCall({ pool, from: payer.address, to, data, signal })
  await payer.refuseWithoutMoney(quote)
  const chainNonce = await nextNonce(pool, payer.address, { signal })
  const account = { chainId, publisher: payer.address, chainNonce }
  const sign = (nonce: number): SignedTransaction => signCall(payer.key, { chainId, to, data, nonce, quote })
  const transaction = await writeFirst(db, proof, account, sign)
  if (transaction !== undefined) await offer(proof, transaction, parts)
}

/**
 * Brings on a transaction that is in no block: fills a gap before it, sends it again, or replaces it when it is its turn
 * and it lies there for long. Those behind it wait for it, not for a higher fee of their own.
 */
export async function pushOn(proof: LeasedProof, anchor: Anchor, wanted: Wanted, parts: AnchorParts): Promise<void> {
  const { db, pool, payer, signal } = parts
  const { transactions, nonce } = anchor
  const newest = transactions.at(-1)
  if (newest === undefined || nonce === null) return
  const next = await nextOf(anchor, parts)
  if (next > nonce) {
    const sent = { address: anchor.publisher as Hex, transactions }
    if (await areGone(pool, sent, { signal })) await releaseNonce(db, proof)
    return
  }
  const isOwn = anchor.publisher === payer.address
  if (isOwn && next < nonce && !(await isTaken(db, anchor, next))) await fillGap(next, nonce, parts)
  const tries = transactions.filter((one) => one.nonce === nonce).length
  const isDue = isOwn && next === nonce && anchor.newestAgeMs >= payer.replaceAfterMs && tries <= MOST_REPLACEMENTS
  if (isDue && (await replace(proof, anchor, wanted, parts))) return
  await sendTransaction(pool, newest.raw as Hex, { signal })
  if (next === nonce && tries > MOST_REPLACEMENTS && anchor.newestAgeMs >= payer.replaceAfterMs) throw ignored(newest)
}

function ignored({ hash }: { hash: string }): AnchorHindrance {
  const sentence = `Its transaction ${hash} is in no block, though its fee was raised ${MOST_REPLACEMENTS} times. It is sent again and again.`
  return new AnchorHindrance('UPSTREAM_FAILED', sentence)
}

/** A gap that is wider than it can become was told by a provider that is wrong; to fill it would cost whatever that says. */
async function fillGap(next: number, nonce: number, { payer }: AnchorParts): Promise<void> {
  if (nonce - next < MOST_OUT) {
    await payer.fill(next)
    return
  }
  const sentence = `Its transaction is the account's number ${nonce}, and the chain waits for number ${next}, which nobody sends.`
  throw new AnchorHindrance('UPSTREAM_FAILED', sentence)
}

/** @returns whether it was replaced: not when the contract refuses now, so that the one before decides */
async function replace(
  proof: LeasedProof,
  { chainId, nonce, transactions }: Anchor,
  { contract: to, data }: Wanted,
  parts: AnchorParts,
): Promise<boolean> {
  const { db, pool, payer, signal } = parts
  try {
    const quote = await quoteCall({ pool, from: payer.address, to, data, before: transactions.at(-1), signal })
    await payer.refuseWithoutMoney(quote)
    const transaction = signCall(payer.key, { chainId, to, data, nonce: nonce ?? 0, quote })
    await writeReplacement(db, proof, transaction)
    await offer(proof, transaction, parts)
    return true
  } catch (error) {
    if (hasKind(error, 'reverted')) return false
    throw error
  }
}

/** Sends what was just written down. What is refused for certain is taken back: nobody has it. */
async function offer(
  proof: LeasedProof,
  transaction: SignedTransaction,
  { db, pool, signal }: AnchorParts,
): Promise<void> {
  try {
    await sendTransaction(pool, transaction.raw, { signal })
  } catch (error) {
    if (error instanceof RpcFailure && !hasKind(error, 'unreachable')) await withdrawTransaction(db, proof, transaction)
    throw error
  }
}

/** The nonce that the chain takes next of the account that an anchor was sent by. */
export async function nextOf({ publisher }: Anchor, { pool, payer, signal }: AnchorParts): Promise<number> {
  return publisher === payer.address ? await payer.next() : await nextNonce(pool, publisher as Hex, { signal })
}

/** A call of an address without the contract would succeed, and anchor nothing. */
async function refuseOtherCode(
  { kind, contract }: Wanted,
  chainId: number,
  { pool, signal }: AnchorParts,
): Promise<void> {
  if (isAnchorCode(kind, await codeAt(pool, contract, { signal }))) return
  const setting = kind === 'eas-timestamp' ? 'HOLDFAST_EAS' : 'HOLDFAST_PIN_ANCHOR'
  const sentence = `At ${contract} on chain ${chainId} there is no contract for anchors of the kind ${kind}: ${setting} has to name one.`
  throw new AnchorHindrance('UNPROCESSABLE', sentence)
}
