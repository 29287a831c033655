import type { Database } from '../../catalog/database.ts'
import type { Leading } from '../../catalog/leases-fence.ts'
import type { Wakes } from '../../catalog/wake.ts'
import type { KnownChain } from '../../chain/follow/follow-chain.ts'
import type { ProviderPool } from '../../chain/provider-pool.ts'
import type { Log } from '../../runtime/log.ts'
import type { Holder } from '../checked-source.ts'
import type { GuardSettings } from './settings.ts'

/** What the loops of the guard use. */
export interface GuardParts {
  db: Database
  wakes: Wakes
  pool: ProviderPool
  log: Log
  settings: GuardSettings
  holders: () => Promise<readonly Holder[]>
  signal: AbortSignal
}

/** The chain as this process follows it, for as long as it leads. */
export interface FollowedChain {
  /** CAIP-2. */
  id: string
  leading: Leading
  known: KnownChain
}
