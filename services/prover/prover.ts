import {
  noteAnchorFailure,
  noteProofFailure,
  releaseProof,
  renewProof,
  returnProof,
  takeProof,
  type LeasedProof,
} from '../catalog/proofs-lease.ts'
import { PROOFS } from '../catalog/wake.ts'
import { RpcFailure } from '../chain/rpc-failure.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { Bell } from '../runtime/bell.ts'
import { whenRung } from '../runtime/bell-loop.ts'
import { keepLease } from '../runtime/kept-lease.ts'
import type { Log } from '../runtime/log.ts'
import { AnchorHindrance } from './hindrance.ts'
import { Payer } from './payer.ts'
import { performProof, type PerformParts } from './perform.ts'

export interface ProverOptions extends Omit<PerformParts, 'payer'> {
  log: Log
  /** How often proofs that are due are looked for. */
  everyMs?: number
}

/** A process that dies is followed by another after so long. */
const LEASE_MS = MINUTE_MS
const EVERY_MS = SECOND_MS / 2
/** Proofs that one process works on at once. */
const AT_ONCE = 2
/** Failures in a row, of proofs that are not sent to a chain yet. */
const TRIES = 6
const FIRST_PAUSE_MS = 2 * SECOND_MS
const LONGEST_PAUSE_MS = 5 * MINUTE_MS

const LOOK_MS = 4 * SECOND_MS
const REPLACE_AFTER_MS = 3 * MINUTE_MS
/** Time for whoever has to send money to hear of it, on a day on which nobody works too; nobody waits for longer. */
const GIVE_UP_AFTER_MS = DAY_MS

/**
 * Makes proofs as they are asked for, until the signal is aborted; resolves when the last step has ended. Any number of
 * processes may do it: each step is done by one, and taken up by another when that dies.
 */
export async function startProver(options: ProverOptions): Promise<void> {
  const { db, wakes, log, signal, everyMs = EVERY_MS } = options
  const payer = payerOf(options)
  const one = async (): Promise<boolean> => {
    const proof = await takeProof(db, LEASE_MS)
    if (proof === undefined) return false
    await step(proof, { ...options, payer })
    return true
  }
  const bells = Array.from({ length: AT_ONCE }, () => new Bell())
  const stop = wakes.on(PROOFS, () => {
    for (const bell of bells) bell.ring()
  })
  await Promise.all(bells.map((bell) => whenRung('proofs', bell, one, { everyMs, log, signal })))
  stop()
}

function payerOf({ pool, anchors, signal }: ProverOptions): Payer | undefined {
  if (pool === undefined || anchors === undefined) return undefined
  const { key, lookMs = LOOK_MS, replaceAfterMs = REPLACE_AFTER_MS } = anchors
  return new Payer({ pool, key, lookMs, replaceAfterMs, signal })
}

async function step(proof: LeasedProof, options: ProverOptions & PerformParts): Promise<void> {
  const { db, wakes, log, signal } = options
  const { id, tenantId } = proof
  await using lease = keepLease(() => renewProof(db, proof, LEASE_MS), { everyMs: LEASE_MS / 4, signal })
  try {
    const afterMs = await performProof(proof, { ...options, signal: lease.signal })
    await releaseProof(db, proof, afterMs === 'done' ? 0 : afterMs)
    if (afterMs === 'done') log.info({ id, tenantId, anchor: proof.anchorKind }, 'a proof is done')
    wakes.announce(PROOFS, id)
  } catch (error) {
    if (signal.aborted) await returnProof(db, proof)
    // Otherwise another process goes on with it.
    else if (!lease.signal.aborted && !hasCode(error, 'CONFLICT')) await noteFailure(proof, error, options)
  }
}

async function noteFailure(proof: LeasedProof, error: unknown, options: ProverOptions): Promise<void> {
  const { db, log } = options
  const { id, tenantId, state, attempts } = proof
  const failure = error instanceof HoldfastError ? error : unexpected(error)
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts)
  const note = (isLasting: boolean): void => {
    // Of many that one thing keeps it is said once in a while of each.
    const isNews = isLasting || proof.error?.message !== failure.message
    log[isNews ? 'warn' : 'debug']({ err: error, id, tenantId, state, isLasting }, 'a proof came no further')
  }
  if (state === 'anchoring') {
    const { giveUpAfterMs = GIVE_UP_AFTER_MS } = options.anchors ?? {}
    const { retryMs = pauseMs, isLasting = false } = failure instanceof AnchorHindrance ? failure : {}
    const giveUpMs = isLasting ? undefined : giveUpAfterMs
    note(await noteAnchorFailure(db, proof, failure, { retryMs, giveUpMs }))
  } else {
    const isLasting = attempts + 1 >= TRIES || !mayPass(failure)
    note(isLasting)
    await noteProofFailure(db, proof, failure, isLasting ? undefined : pauseMs)
  }
}

function mayPass(failure: HoldfastError): boolean {
  return failure instanceof RpcFailure || !hasCode(failure, 'UNPROCESSABLE', 'BAD_REQUEST', 'INSUFFICIENT_FUNDS')
}

function unexpected(cause: unknown): HoldfastError {
  return new HoldfastError('INTERNAL_ERROR', 'This proof met a defect of the service.', { cause })
}
