import { HoldfastError } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import { rulesFor, type ValueRules, type ValueRulesByNamespace } from './value-rules.ts'

/** Bytes of values that are held for all topics together. */
const MAX_VALUE_BYTES = 64 * MIB

interface Held {
  key: Uint8Array
  value: Uint8Array | undefined
}

export interface TopicValuesOptions {
  rules: ValueRulesByNamespace
  /** Topics at most; those that were needed longest ago go. */
  maxTopics: number
  /** @default 64 MiB */
  maxBytes?: number
}

/** The topics that we are in, and the newest value of each. Bounded in number and bytes. */
export class TopicValues {
  readonly #options: Required<TopicValuesOptions>
  /** By the text of the key; needed longest ago first. */
  readonly #held = new Map<string, Held>()
  #bytes = 0

  constructor(options: TopicValuesOptions) {
    this.#options = { maxBytes: MAX_VALUE_BYTES, ...options }
  }

  get size(): number {
    return this.#held.size
  }

  has(key: Uint8Array): boolean {
    return this.#held.has(keyText(key))
  }

  /** Keys, those needed longest ago first. */
  keys(): Uint8Array[] {
    return Array.from(this.#held.values(), ({ key }) => key)
  }

  /** Notes that a topic is needed. @returns keys of topics that had to go for it */
  need(key: Uint8Array): Uint8Array[] {
    const text = keyText(key)
    const held = this.#held.get(text) ?? { key: new Uint8Array(key), value: undefined }
    this.#held.delete(text)
    this.#held.set(text, held)
    return this.#makeRoom()
  }

  /** @throws what the rules of the key say; BAD_REQUEST when there are none */
  check(key: Uint8Array, value: Uint8Array): void {
    this.#rulesFor(key).check(key, value)
  }

  /**
   * Takes a value if it is newer than the one that is held or on this machine.
   * @returns positive when it is newer, zero when it is the same, negative when it is older
   * @throws what the rules of the key say; BAD_REQUEST when there are none
   */
  async take(key: Uint8Array, value: Uint8Array): Promise<number> {
    const rules = this.#rulesFor(key)
    rules.check(key, value)
    const stored = await rules.stored?.(key)
    const held = this.#held.get(keyText(key))
    const known = newer(rules, held?.value, stored)
    const order = known === undefined ? 1 : rules.compare(value, known)
    if (order > 0 && held !== undefined) {
      this.#bytes += value.length - (held.value?.length ?? 0)
      // A copy: the value is part of a whole message, perhaps of a megabyte.
      held.value = new Uint8Array(value)
    }
    return order
  }

  /** The newest value that is held or on this machine, unless it must not be given out any more. */
  async newest(key: Uint8Array): Promise<Uint8Array | undefined> {
    const rules = this.#rulesFor(key)
    const stored = await rules.stored?.(key)
    const value = newer(rules, this.#held.get(keyText(key))?.value, stored)
    try {
      if (value !== undefined) rules.check(key, value)
      return value
    } catch {
      return undefined
    }
  }

  #rulesFor(key: Uint8Array): ValueRules {
    const rules = rulesFor(key, this.#options.rules)
    if (rules === undefined) throw new HoldfastError('BAD_REQUEST', 'There are no values of this kind.')
    return rules
  }

  #makeRoom(): Uint8Array[] {
    const gone: Uint8Array[] = []
    for (const [text, { key, value }] of this.#held) {
      if (this.#held.size <= this.#options.maxTopics && this.#bytes <= this.#options.maxBytes) break
      this.#held.delete(text)
      this.#bytes -= value?.length ?? 0
      gone.push(key)
    }
    return gone
  }
}

function newer(rules: ValueRules, a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return rules.compare(a, b) >= 0 ? a : b
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString('base64url')
}
