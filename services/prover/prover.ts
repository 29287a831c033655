import { noteProofFailure, releaseProof, renewProof, takeProof, type LeasedProof } from '../catalog/proofs-lease.ts'
import { PROOFS } from '../catalog/wake.ts'
import { RpcFailure } from '../chain/rpc-failure.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { Bell } from '../runtime/bell.ts'
import { whenRung } from '../runtime/bell-loop.ts'
import { keepLease } from '../runtime/kept-lease.ts'
import type { Log } from '../runtime/log.ts'
import { performProof, type PerformParts } from './perform.ts'

export interface ProverOptions extends PerformParts {
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

/**
 * Makes proofs as they are asked for, until the signal is aborted; resolves when the last step has ended. Any number of
 * processes may do it: each step is done by one, and taken up by another when that dies.
 */
export async function startProver(options: ProverOptions): Promise<void> {
  const { db, wakes, log, signal, everyMs = EVERY_MS } = options
  const one = async (): Promise<boolean> => {
    const proof = await takeProof(db, LEASE_MS)
    if (proof === undefined) return false
    await step(proof, options)
    return true
  }
  const bells = Array.from({ length: AT_ONCE }, () => new Bell())
  const stop = wakes.on(PROOFS, () => {
    for (const bell of bells) bell.ring()
  })
  await Promise.all(bells.map((bell) => whenRung('proofs', bell, one, { everyMs, log, signal })))
  stop()
}

async function step(proof: LeasedProof, options: ProverOptions): Promise<void> {
  const { db, wakes, log, signal } = options
  const { id, tenantId } = proof
  await using lease = keepLease(() => renewProof(db, proof, LEASE_MS), { everyMs: LEASE_MS / 4, signal })
  try {
    const afterMs = await performProof(proof, { ...options, signal: lease.signal })
    await releaseProof(db, proof, afterMs === 'done' ? 0 : afterMs)
    if (afterMs === 'done') log.info({ id, tenantId, anchor: proof.anchorKind }, 'a proof is done')
    wakes.announce(PROOFS, id)
  } catch (error) {
    if (signal.aborted) await releaseProof(db, proof, 0)
    // Otherwise another process goes on with it.
    else if (!lease.signal.aborted && !hasCode(error, 'CONFLICT')) await noteFailure(proof, error, options)
  }
}

async function noteFailure(proof: LeasedProof, error: unknown, { db, log }: ProverOptions): Promise<void> {
  const { id, tenantId, state, attempts } = proof
  const failure = error instanceof HoldfastError ? error : unexpected(error)
  // What may be in a chain already is followed for as long as it takes.
  const isGivenUp = state !== 'anchoring' && attempts + 1 >= TRIES
  const isLasting = isGivenUp || !mayPass(failure)
  const pauseMs = isLasting ? undefined : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts)
  log.warn({ err: error, id, tenantId, state, isLasting }, 'a proof came no further')
  await noteProofFailure(db, proof, failure, pauseMs)
}

function mayPass(failure: HoldfastError): boolean {
  return failure instanceof RpcFailure || !hasCode(failure, 'UNPROCESSABLE', 'BAD_REQUEST', 'INSUFFICIENT_FUNDS')
}

function unexpected(cause: unknown): HoldfastError {
  return new HoldfastError('INTERNAL_ERROR', 'This proof met a defect of the service.', { cause })
}
