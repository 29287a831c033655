import type { Selectors, Validators } from '@libp2p/kad-dht'
import { Libp2pRecord } from '@libp2p/record'

/** What the DHT stores, and PubSub passes on, under the keys of one namespace. */
export interface ValueRules {
  /** @throws when the value must not be under the key now */
  check(key: Uint8Array, value: Uint8Array): void
  /** Of two values of one key that were checked: negative when `a` is older than `b`. */
  compare(a: Uint8Array, b: Uint8Array): number
  /** The value that this machine has itself beside what others stored with it. */
  stored?(key: Uint8Array): Promise<Uint8Array | undefined>
}

/** Rules by the first segment of the key: `ipns` for `/ipns/…`. */
export type ValueRulesByNamespace = Readonly<Record<string, ValueRules>>

/** Who may be stored and believed. */
export function validatorsOf(rules: ValueRulesByNamespace): Validators {
  return mapped(rules, (one) => async (key: Uint8Array, value: Uint8Array) => one.check(key, value))
}

/** Which of several values counts: the index of the newest. */
export function selectorsOf(rules: ValueRulesByNamespace): Selectors {
  return mapped(rules, (one) => (_key: Uint8Array, values: Uint8Array[]) => {
    return values.indexOf(values.reduce((best, value) => (one.compare(value, best) > 0 ? value : best)))
  })
}

/** Whether a record of the DHT, as it is stored, is older than another of its key. */
export function isOlderValue(rules: ValueRulesByNamespace): (next: Uint8Array, known: Uint8Array) => boolean {
  return (next, known) => {
    const { key, value } = Libp2pRecord.deserialize(next)
    return (rulesFor(key, rules)?.compare(value, Libp2pRecord.deserialize(known).value) ?? 0) < 0
  }
}

/** What this machine has itself under a key, as the DHT stores it. */
export function storedRecord(rules: ValueRulesByNamespace): (key: Uint8Array) => Promise<Uint8Array | undefined> {
  return async (key) => {
    const value = await rulesFor(key, rules)?.stored?.(key)
    return value && new Libp2pRecord(key, value, new Date()).serialize()
  }
}

/** Those of the key's namespace; undefined when it has none. */
export function rulesFor(key: Uint8Array, rules: ValueRulesByNamespace): ValueRules | undefined {
  const [, namespace = ''] = Buffer.from(key).toString('latin1').split('/', 2)
  return Object.hasOwn(rules, namespace) ? rules[namespace] : undefined
}

function mapped<T>(rules: ValueRulesByNamespace, map: (one: ValueRules) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(rules).map(([namespace, one]) => [namespace, map(one)]))
}
