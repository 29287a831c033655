import { HoldfastError } from '../core/errors.ts'
import { rulesFor, type ValueRules, type ValueRulesByNamespace } from './value-rules.ts'

/** Why we are in a topic: we tell its values, or somebody asked for one. */
export type TopicKind = 'told' | 'asked'

interface Held {
  key: Uint8Array
  value: Uint8Array | undefined
}

/** Strangers can have any number of names asked for; they take no place from those that we tell. */
const ASKED_SHARE = 1 / 4

export interface TopicValuesOptions {
  rules: ValueRulesByNamespace
  /** Topics at most, a quarter of them asked ones; of each kind those that were needed longest ago go. */
  maxTopics: number
}

/** The topics that we are in, and the newest value of each. */
export class TopicValues {
  readonly #options: TopicValuesOptions
  /** By the text of the key; needed longest ago first. */
  readonly #told = new Map<string, Held>()
  readonly #asked = new Map<string, Held>()

  constructor(options: TopicValuesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#told.size + this.#asked.size
  }

  /** Undefined when we are not in the topic. */
  kindOf(key: Uint8Array): TopicKind | undefined {
    const text = keyText(key)
    if (this.#told.has(text)) return 'told'
    return this.#asked.has(text) ? 'asked' : undefined
  }

  /** Keys, of each kind those needed longest ago first. */
  *entries(): Generator<{ kind: TopicKind; key: Uint8Array }, void> {
    for (const { key } of this.#told.values()) yield { kind: 'told', key }
    for (const { key } of this.#asked.values()) yield { kind: 'asked', key }
  }

  /** Notes that a topic is needed; one that we tell stays one. @returns keys of topics that had to go for it */
  need(key: Uint8Array, kind: TopicKind): Uint8Array[] {
    const text = keyText(key)
    const held = this.#heldOf(key) ?? { key: new Uint8Array(key), value: undefined }
    const isTold = kind === 'told' || this.#told.has(text)
    this.#told.delete(text)
    this.#asked.delete(text)
    const kept = isTold ? this.#told : this.#asked
    kept.set(text, held)
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
    const held = this.#heldOf(key)
    const known = newer(rules, held?.value, stored)
    const order = known === undefined ? 1 : rules.compare(value, known)
    // A copy: the value is part of a whole message, perhaps of a megabyte.
    if (order > 0 && held !== undefined) held.value = new Uint8Array(value)
    return order
  }

  /** The newest value that is held or on this machine, unless it must not be given out any more. */
  async newest(key: Uint8Array): Promise<Uint8Array | undefined> {
    const rules = this.#rulesFor(key)
    const stored = await rules.stored?.(key)
    const value = newer(rules, this.#heldOf(key)?.value, stored)
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

  #heldOf(key: Uint8Array): Held | undefined {
    const text = keyText(key)
    return this.#told.get(text) ?? this.#asked.get(text)
  }

  #makeRoom(): Uint8Array[] {
    const maxAsked = Math.floor(this.#options.maxTopics * ASKED_SHARE)
    return [...oldestBeyond(this.#asked, maxAsked), ...oldestBeyond(this.#told, this.#options.maxTopics - maxAsked)]
  }
}

function* oldestBeyond(kind: Map<string, Held>, count: number): Generator<Uint8Array, void> {
  for (const [text, { key }] of kind) {
    if (kind.size <= count) return
    kind.delete(text)
    yield key
  }
}

function newer(rules: ValueRules, a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return rules.compare(a, b) >= 0 ? a : b
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString('base64url')
}
