import type { StorageNode } from './node.ts'
import type { Policy, PolicyRule } from './policy.ts'
import { parseDurationMs } from './units.ts'

type Rule<Key extends string> = Extract<PolicyRule, Record<Key, unknown>>

/** What all policies of one root ask together: the largest counts, and every rule of every policy. */
export interface PlacementRules {
  /** Verified copies below which content is in danger. */
  floor: number
  target: number
  max: readonly Rule<'max'>[]
  distinct: readonly Rule<'distinct'>[]
  require: readonly Rule<'require'>[]
  forbid: readonly Rule<'forbid'>[]
  prefer: readonly Rule<'prefer'>[]
  /** How long a silent node's copies are waited for while the others reach the floor: the least patient policy's wish. */
  healAfterMs: number
}

export function mergePolicies(policies: readonly Policy[]): PlacementRules {
  const rules = policies.flatMap((policy) => policy.rules)
  return {
    floor: Math.max(...policies.map(({ copies }) => copies.min)),
    target: Math.max(...policies.map(({ copies }) => copies.target)),
    max: rules.filter((rule) => 'max' in rule),
    distinct: rules.filter((rule) => 'distinct' in rule),
    require: rules.filter((rule) => 'require' in rule),
    forbid: rules.filter((rule) => 'forbid' in rule),
    prefer: rules.filter((rule) => 'prefer' in rule),
    healAfterMs: Math.min(...policies.map(({ heal }) => parseDurationMs(heal?.after ?? '0s') ?? 0)),
  }
}

export function isForbidden(rules: PlacementRules, node: StorageNode): boolean {
  return rules.forbid.some((rule) => has(node, rule.forbid, rule.in))
}

/** How many times as likely the preferences make a node. */
export function preference(rules: PlacementRules, node: StorageNode): number {
  return rules.prefer.reduce((weight, rule) => (has(node, rule.prefer, rule.in) ? weight * rule.weight : weight), 1)
}

/** How many `max` rules have more copies on this node's side than they allow, among `copies` (which include it). */
export function crowdedRules(rules: PlacementRules, node: StorageNode, copies: readonly StorageNode[]): number {
  return rules.max.filter(({ spread, max }) => sharing(node, spread, copies) > max).length
}

/** Whether one more copy on `node` would break a `max` rule. */
export function wouldCrowd(rules: PlacementRules, node: StorageNode, copies: readonly StorageNode[]): boolean {
  return rules.max.some(({ spread, max }) => sharing(node, spread, copies) >= max)
}

/** Copies that lie where this node lies. Nodes that do not tell are taken to lie in one place. */
function sharing(node: StorageNode, label: string, copies: readonly StorageNode[]): number {
  const value = node.labels[label] ?? ''
  return copies.reduce((count, copy) => ((copy.labels[label] ?? '') === value ? count + 1 : count), 0)
}

/** How many copies and values the `distinct` and `require` rules miss; 0 when all of them hold. */
export function shortage(rules: PlacementRules, copies: readonly StorageNode[]): number {
  const values = rules.distinct.reduce((sum, rule) => sum + missingValues(rule, copies), 0)
  return rules.require.reduce((sum, rule) => sum + missingCopies(rule, copies), values)
}

export function missingValues(rule: Rule<'distinct'>, copies: readonly StorageNode[]): number {
  return Math.max(0, rule.distinct - distinctValues(copies, rule.spread))
}

export function missingCopies(rule: Rule<'require'>, copies: readonly StorageNode[]): number {
  return Math.max(0, rule.copies - copies.filter((copy) => has(copy, rule.require, rule.in)).length)
}

/** In how many of the labels that `distinct` rules name this node adds a value to those of the copies. */
export function newValues(rules: PlacementRules, node: StorageNode, copies: readonly StorageNode[]): number {
  return rules.distinct.filter(({ spread }) => {
    const value = node.labels[spread]
    return value !== undefined && !copies.some(({ labels }) => labels[spread] === value)
  }).length
}

/** Places that the copies tell of; a node without the label proves none. */
export function distinctValues(copies: readonly StorageNode[], label: string): number {
  return new Set(copies.flatMap(({ labels }) => labels[label] ?? [])).size
}

function has(node: StorageNode, label: string, values: readonly string[]): boolean {
  const value = node.labels[label]
  return value !== undefined && values.includes(value)
}
