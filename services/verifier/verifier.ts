import type { Database } from '../catalog/database.ts'
import { reachableGateways } from '../catalog/nodes-gateways.ts'
import {
  noteVerificationFailure,
  releaseVerification,
  renewVerification,
  takeVerification,
  type LeasedVerification,
} from '../catalog/verifications-work.ts'
import { VERIFICATIONS, type Wakes } from '../catalog/wake.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { hasKind } from '../chain/rpc-failure.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { Bell } from '../runtime/bell.ts'
import { whenRung } from '../runtime/bell-loop.ts'
import { keepLease } from '../runtime/kept-lease.ts'
import type { Log } from '../runtime/log.ts'
import type { Holder } from './checked-source.ts'
import type { ContentLimits } from './contents.ts'
import { gatewayHolder } from './gateway-holder.ts'
import { performVerification } from './perform.ts'

export interface VerifierOptions {
  db: Database
  wakes: Wakes
  pool: ProviderPool
  log: Log
  signal: AbortSignal
  /** Who is asked for content. @default the gateways of nodes that are not down */
  holders?: () => Promise<readonly Holder[]>
  limits?: ContentLimits
  /** How often looks that nobody announced are looked for. */
  everyMs?: number
}

/** A process that dies is followed by another after so long. */
const LEASE_MS = MINUTE_MS
const EVERY_MS = 2 * SECOND_MS
/** Collections that one process looks at at once. */
const AT_ONCE = 2
const TRIES = 5
const FIRST_PAUSE_MS = 5 * SECOND_MS

/**
 * Looks at collections as they are asked for, until the signal is aborted; resolves when the last one has stopped. Any
 * number of processes may do it: each look is done by one, and taken up by another when that dies.
 */
export async function startVerifier(options: VerifierOptions): Promise<void> {
  const { db, wakes, log, signal, everyMs = EVERY_MS } = options
  const holders = options.holders ?? (() => gatewayHolders(db))
  const one = async (): Promise<boolean> => {
    const run = await takeVerification(db, LEASE_MS)
    if (run === undefined) return false
    await perform(run, { ...options, holders })
    wakes.announce(VERIFICATIONS, run.id)
    return true
  }
  const bells = Array.from({ length: AT_ONCE }, () => new Bell())
  const stop = wakes.on(VERIFICATIONS, () => {
    for (const bell of bells) bell.ring()
  })
  await Promise.all(bells.map((bell) => whenRung('verifications', bell, one, { everyMs, log, signal })))
  stop()
}

/** The gateways of nodes that are not down. */
export async function gatewayHolders(db: Database): Promise<Holder[]> {
  return (await reachableGateways(db)).map(({ name, gateway }) => gatewayHolder(name, gateway))
}

async function perform(
  run: LeasedVerification,
  options: VerifierOptions & { holders: () => Promise<readonly Holder[]> },
): Promise<void> {
  const { db, log, signal } = options
  const { id, tenantId, collection } = run
  await using lease = keepLease(() => renewVerification(db, run, LEASE_MS), { everyMs: LEASE_MS / 4, signal })
  try {
    const isDone = await performVerification(run, { ...options, signal: lease.signal })
    if (isDone) log.info({ id, tenantId, collection }, 'a collection was looked at')
    else await releaseVerification(db, run)
  } catch (error) {
    if (signal.aborted) await releaseVerification(db, run)
    // Otherwise another process goes on with it.
    else if (!lease.signal.aborted && !hasCode(error, 'CONFLICT')) await noteFailure(run, error, options)
  }
}

async function noteFailure(run: LeasedVerification, error: unknown, { db, log }: VerifierOptions): Promise<void> {
  const { id, tenantId, collection } = run
  const failure = error instanceof HoldfastError ? error : unexpected(error)
  const isLasting = run.attempts + 1 >= TRIES || !mayPass(failure)
  const pauseMs = isLasting ? undefined : FIRST_PAUSE_MS * 2 ** run.attempts
  log.warn({ err: error, id, tenantId, collection, isLasting }, 'a collection could not be looked at')
  await noteVerificationFailure(db, run, failure, pauseMs)
}

function mayPass(failure: HoldfastError): boolean {
  if (hasKind(failure, 'unreachable', 'busy', 'behind')) return true
  return hasCode(failure, 'UNAVAILABLE') || hasCode(failure, 'INTERNAL_ERROR') || hasCode(failure, 'TIMED_OUT')
}

function unexpected(cause: unknown): HoldfastError {
  return new HoldfastError('INTERNAL_ERROR', 'The look at this collection met a defect of the service.', { cause })
}
