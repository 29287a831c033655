import { Denylists } from './denylists.ts'
import { RestrictedRoots } from './restricted-roots.ts'

/** The rules that a gateway goes by, as they are now. Read at each request, so that changes count at once. */
export interface RulesInForce {
  readonly denylists: Denylists
  readonly restricted: RestrictedRoots
  /** Keys of the tenant's signed URLs. */
  signingKeysOf(tenant: number): readonly Uint8Array[]
  /**
   * The database's time, in milliseconds since 1970, as far as it is known; undefined when the control plane was not
   * heard since this process began. The clock of this machine may be wrong and is not asked.
   */
  nowMs(): number | undefined
}

/** A gateway that denies and restricts nothing. */
export const NO_RULES: RulesInForce = {
  denylists: new Denylists(),
  restricted: new RestrictedRoots(),
  signingKeysOf: () => [],
  nowMs: () => undefined,
}
