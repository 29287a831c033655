import { Denylist } from '../../services/core/denylist.ts'
import { Denylists } from '../../services/core/denylists.ts'
import type { AccessLine } from '../../services/core/gateway-rules.ts'
import { RestrictedRoots } from '../../services/core/restricted-roots.ts'
import type { RulesInForce } from '../../services/core/rules-in-force.ts'

/** Rules of a gateway that a test changes while it runs. */
export class TestRules implements RulesInForce {
  denylists = new Denylists()
  restricted = new RestrictedRoots()
  readonly keys = new Map<number, Uint8Array[]>()
  /** The cluster's time; undefined: not known. */
  clockMs: number | undefined = Date.UTC(2030, 0, 1)

  deny(text: string, status: 410 | 451 = 410): void {
    const list = new Denylist('test', status)
    for (const line of text.split('\n')) list.add(line)
    list.end()
    this.denylists = new Denylists([list])
  }

  restrict(...lines: AccessLine[]): void {
    this.restricted = new RestrictedRoots()
    for (const line of lines) this.restricted.add(JSON.stringify(line))
  }

  signingKeysOf(tenant: number): readonly Uint8Array[] {
    return this.keys.get(tenant) ?? []
  }

  nowMs(): number | undefined {
    return this.clockMs
  }
}
