import { randomUUID } from 'node:crypto'
import type { Database } from '../../catalog/database.ts'
import { guardsToRelease, releaseVersionsOf, tendPins } from '../../catalog/guards-pins.ts'
import { guardIds } from '../../catalog/guards-work.ts'
import { lead, resign } from '../../catalog/leases.ts'
import type { Leading } from '../../catalog/leases-fence.ts'
import { followingRole, noteDisagreement } from '../../catalog/chains.ts'
import { GUARDS, RECONCILE, type Wakes } from '../../catalog/wake.ts'
import { numberOfHex } from '../../chain/hex.ts'
import type { ProviderPool } from '../../chain/provider-pool.ts'
import { RpcFailure } from '../../chain/rpc-failure.ts'
import { hasCode } from '../../core/errors.ts'
import { SECOND_MS } from '../../core/units.ts'
import { Bell } from '../../runtime/bell.ts'
import type { Log } from '../../runtime/log.ts'
import { loop } from '../../runtime/loop.ts'
import type { Holder } from '../checked-source.ts'
import { gatewayHolders } from '../verifier.ts'
import { ChainFollower } from './chain-follower.ts'
import type { FollowedChain, GuardParts } from './parts.ts'
import { readAllDue } from './read-all.ts'
import { readContents } from './read-contents.ts'
import { readTouched } from './read-touched.ts'
import { DEFAULT_GUARD_SETTINGS, type GuardSettings } from './settings.ts'
import { settleFinal } from './settle-final.ts'

export interface GuardOptions {
  db: Database
  wakes: Wakes
  pool: ProviderPool
  log: Log
  signal: AbortSignal
  settings?: Partial<GuardSettings>
  /** Who is asked for metadata. @default the gateways of nodes that are not down */
  holders?: () => Promise<readonly Holder[]>
}

/** How often what nobody announced is looked for. */
const LOOK_MS = 2 * SECOND_MS
const RETRY_MS = SECOND_MS / 2

/**
 * Keeps what the tokens of guarded collections lead to pinned, until the signal is aborted; resolves when the last pass has
 * ended. Any number of processes may do it: one at a time follows the chain, and writes; another takes over when it dies.
 */
export async function startGuards(options: GuardOptions): Promise<void> {
  const { db, wakes, log, signal } = options
  const settings = { ...DEFAULT_GUARD_SETTINGS, ...options.settings }
  const parts: GuardParts = { holders: () => gatewayHolders(db), ...options, settings }
  const follower = new ChainFollower(parts)
  const seat = new Seat(parts)
  /** A new guard is read at a block that is not older than it. */
  let isAsked = false
  const bells = { follow: new Bell(), touched: new Bell(), full: new Bell(), settle: new Bell(), content: new Bell() }
  const stopListening = wakes.on(GUARDS, () => {
    isAsked = true
    bells.follow.ring()
  })
  const stopHearing = parts.pool.onDisagree((disagreement) => {
    if (seat.chainId === undefined || seat.leading === undefined) return
    const tell = noteDisagreement(db, seat.chainId, { ...disagreement })
    tell.catch((error: unknown) => log.warn({ err: error, ...disagreement }, 'providers of the chain disagree'))
  })
  const view = (): FollowedChain | undefined => {
    const { chainId, leading } = seat
    return chainId === undefined || leading === undefined ? undefined : follower.view(chainId, leading)
  }
  /** Repeats work over the chain as it is followed: when its bell rings, and now and then. */
  const work = (name: string, bell: Bell, everyMs: number, pass: (chain: FollowedChain) => Promise<boolean>) =>
    loop(
      name,
      async () => {
        await bell.wait(everyMs, signal)
        const chain = view()
        if (chain === undefined || signal.aborted) return true
        for (let more = true; more && !signal.aborted;) more = await passOf(pass, view() ?? chain)
        return true
      },
      { everyMs: RETRY_MS, log, signal },
    )

  let waitMs = 0
  const follow = async (): Promise<boolean> => {
    await bells.follow.wait(waitMs, signal)
    waitMs = settings.pollMs ?? LOOK_MS
    const { chainId, leading } = await seat.take()
    if (chainId === undefined || leading === undefined) return true
    const wasAsked = isAsked
    isAsked = false
    const pass = await follower.pass(chainId, leading)
    ;({ waitMs } = pass)
    if (pass.isTouched) bells.touched.ring()
    if (pass.isTouched || wasAsked) bells.full.ring()
    if (pass.isSettled) bells.settle.ring()
    return true
  }
  /** What is known of the chain counts anew when the role is taken anew. */
  const keepSeat = async (): Promise<void> => {
    const epoch = seat.leading?.epoch
    await seat.take()
    if (seat.leading?.epoch === epoch) return
    isAsked = true
    bells.follow.ring()
  }
  const touched = async (chain: FollowedChain): Promise<boolean> => {
    const hadWork = await readTouched(chain, parts)
    if (hadWork) bells.full.ring()
    if (hadWork) bells.content.ring()
    return hadWork
  }
  const { contentMs, tendMs } = settings
  await Promise.all([
    loop('guard-chain', follow, { everyMs: RETRY_MS, log, signal }),
    loop('guard-seat', keepSeat, { everyMs: settings.leadMs / 3, log, signal }),
    work('guard-touched', bells.touched, LOOK_MS, touched),
    work('guard-all', bells.full, LOOK_MS, (chain) => readAllDue(chain, parts)),
    work('guard-final', bells.settle, LOOK_MS, (chain) => settleFinal(chain, parts)),
    work('guard-content', bells.content, contentMs, (chain) => readContents(chain, parts)),
    work('guard-pins', new Bell(), tendMs, (chain) => tend(chain, parts)),
  ])
  stopListening()
  stopHearing()
  await seat.leave()
}

/** What another process has begun to do is left to it. */
async function passOf(pass: (chain: FollowedChain) => Promise<boolean>, chain: FollowedChain): Promise<boolean> {
  try {
    return await pass(chain)
  } catch (error) {
    if (hasCode(error, 'CONFLICT')) return false
    throw error
  }
}

/** Makes pins that are lacking, and releases what is not to be kept any more. */
async function tend({ id, leading }: FollowedChain, { db, wakes, log }: GuardParts): Promise<boolean> {
  let changed = 0
  for (const guardId of await guardIds(db, id)) changed += await tendPins(db, leading, guardId)
  for (const guardId of await guardsToRelease(db, id)) {
    const released = await releaseVersionsOf(db, leading, guardId)
    changed += released
    if (released > 0) log.info({ guardId, released }, 'pins of a guarded collection are released')
  }
  if (changed > 0) wakes.announce(RECONCILE)
  return false
}

/** The role of the one process that follows the chain of its providers. */
class Seat {
  readonly #parts: GuardParts
  readonly #holder = randomUUID()
  chainId: string | undefined
  leading: Leading | undefined

  constructor(parts: GuardParts) {
    this.#parts = parts
  }

  /** Takes the role, or renews it. */
  async take(): Promise<Pick<Seat, 'chainId' | 'leading'>> {
    const { db, settings } = this.#parts
    this.chainId ??= await this.#readChainId()
    const role = this.#role()
    const held = await lead(db, role, this.#holder, settings.leadMs)
    this.leading = held && { role, epoch: held.epoch }
    return this
  }

  /** Gives the role up, so that another takes it at once. */
  async leave(): Promise<void> {
    const { db, log } = this.#parts
    if (this.leading === undefined) return
    const role = this.#role()
    await resign(db, role, this.#holder).catch((error: unknown) =>
      log.debug({ err: error, role }, 'the role ends by itself'),
    )
  }

  #role(): string {
    return followingRole(this.chainId ?? '')
  }

  async #readChainId(): Promise<string> {
    const { pool, signal } = this.#parts
    const call = { method: 'eth_chainId', params: [] }
    const found = numberOfHex(await pool.ask((provider, aborted) => provider.call(call, aborted), { signal }))
    if (found === undefined)
      throw new RpcFailure('unreachable', 'A provider of the chain does not tell which chain it is.')
    return `eip155:${found}`
  }
}
