import type { CID } from 'multiformats/cid'
import { cidKey } from './cid.ts'
import type { AccessRule } from './access-rule.ts'
import { AccessLine } from './gateway-rules.ts'

/** A tenant that lets readers of a root in. */
export interface Grantor {
  tenant: number
  rule: AccessRule
}

export interface ReadToken {
  tenant: number
  expiresMs: number | null
}

/** Roots that are not for everybody, and the tokens that open them. */
export class RestrictedRoots {
  readonly #roots = new Map<string, readonly Grantor[]>()
  readonly #tokens = new Map<string, ReadToken>()

  get size(): number {
    return this.#roots.size
  }

  /** The roots, as {@link cidKey} writes them. */
  keys(): Iterable<string> {
    return this.#roots.keys()
  }

  /** @throws when the line is no {@link AccessLine} */
  add(line: string): void {
    const fact = AccessLine.parse(JSON.parse(line))
    if ('root' in fact) this.#roots.set(fact.root, fact.allowedBy)
    else this.#tokens.set(fact.token, { tenant: fact.tenant, expiresMs: fact.expiresMs })
  }

  /** Undefined for a root that everybody may read. */
  grantorsOf(root: CID | string): readonly Grantor[] | undefined {
    if (this.#roots.size === 0) return undefined
    return this.#roots.get(typeof root === 'string' ? root : cidKey(root))
  }

  /** @param hash SHA-256 of the token, in hex */
  token(hash: string): ReadToken | undefined {
    return this.#tokens.get(hash)
  }
}
