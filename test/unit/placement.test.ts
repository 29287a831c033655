import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { countsTowards } from '../../services/core/counted-copies.ts'
import type { StorageNode } from '../../services/core/node.ts'
import { leastFree } from '../../services/core/place.ts'
import { crowdedRules, isForbidden, mergePolicies, shortage } from '../../services/core/placement-rules.ts'
import { plan, type Placement, type PlacementInput } from '../../services/core/placement.ts'
import { DEFAULT_POLICY, type Policy, type PolicyRule } from '../../services/core/policy.ts'
import type { PlacedReplica, ReplicaState } from '../../services/core/replica.ts'
import { GIB } from '../../services/core/units.ts'

function node(id: number, over: Partial<StorageNode> = {}): StorageNode {
  return {
    id,
    name: `node-${id}`,
    labels: { region: `r${id}` },
    state: 'active',
    liveness: 'up',
    silentMs: 0,
    capacityBytes: 100 * GIB,
    freeBytes: 90 * GIB,
    refusal: null,
    ...over,
  }
}

function replica(nodeId: number, state: ReplicaState, attempts = 0): PlacedReplica {
  return { nodeId, state, attempts }
}

function policy(min: number, target: number, rules: PolicyRule[] = []): Policy {
  return { copies: { min, target }, rules }
}

/** What the rows are once the placement was written down. */
function applied(replicas: readonly PlacedReplica[], placement: Placement): PlacedReplica[] {
  const placed = new Set(placement.allocate)
  const released = new Set(placement.release)
  return [
    ...replicas.filter(({ nodeId }) => !placed.has(nodeId) && !released.has(nodeId)),
    ...placement.allocate.map((id) => replica(id, 'allocated')),
    ...placement.release.map((id) => replica(id, 'releasing')),
  ]
}

/** Every copy that is on its way arrives, round after round, until nothing changes. */
function settled(input: PlacementInput): PlacedReplica[] {
  let { replicas } = input
  for (let round = 0; round < 20; round++) {
    const placement = plan({ ...input, replicas })
    const next = applied(replicas, placement)
      .filter(({ state }) => state !== 'releasing')
      .map((row) => (row.state === 'allocated' || row.state === 'stored' ? replica(row.nodeId, 'verified') : row))
    if (placement.allocate.length === 0 && placement.release.length === 0 && round > 0) return next
    replicas = next
  }
  throw new assert.AssertionError({ message: 'placement does not come to rest' })
}

const ONE_PER_REGION: Policy = policy(2, 3, [{ spread: 'region', max: 1 }])

const LABELS = ['region', 'zone', 'provider'] as const
const label = fc.constantFrom(...LABELS)
const value = fc.constantFrom('a', 'b', 'c', 'd')
const values = fc.uniqueArray(value, { minLength: 1, maxLength: 3 })
const anyRule: fc.Arbitrary<PolicyRule> = fc.oneof(
  fc.record({ spread: label, max: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ spread: label, distinct: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ require: label, in: values, copies: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ forbid: label, in: fc.uniqueArray(value, { minLength: 1, maxLength: 1 }) }),
  fc.record({ prefer: label, in: values, weight: fc.constantFrom(0.1, 2, 10) }),
)
const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    min: fc.integer({ min: 1, max: 3 }),
    more: fc.integer({ min: 0, max: 2 }),
    rules: fc.array(anyRule, { maxLength: 3 }),
    heal: fc.option(fc.constantFrom('10s', '10m'), { nil: undefined }),
  })
  .map(({ min, more, rules, heal }) => ({
    copies: { min, target: min + more },
    rules,
    ...(heal !== undefined && { heal: { after: heal } }),
  }))
const anyNode = fc.record({
  labels: fc.record({ region: value, zone: value, provider: value }, { requiredKeys: ['region'] }),
  state: fc.constantFrom<StorageNode['state'][]>('active', 'active', 'active', 'draining'),
  liveness: fc.constantFrom<StorageNode['liveness'][]>('up', 'up', 'up', 'suspect', 'down'),
  silentMs: fc.integer({ min: 0, max: 700_000 }),
  free: fc.constantFrom(0.02, 0.1, 0.5, 0.9),
  refusal: fc.constantFrom<(string | null)[]>(null, null, null, 'EROFS'),
  replica: fc.option(
    fc.record({
      state: fc.constantFrom<ReplicaState[]>(
        'allocated',
        'stored',
        'verified',
        'verified',
        'failed',
        'lost',
        'releasing',
      ),
      attempts: fc.integer({ min: 0, max: 6 }),
    }),
    { nil: undefined },
  ),
})
const anyInput: fc.Arbitrary<PlacementInput> = fc
  .record({
    policies: fc.array(anyPolicy, { minLength: 1, maxLength: 3 }),
    nodes: fc.array(anyNode, { maxLength: 12 }),
    root: fc.string({ minLength: 1 }),
  })
  .map(({ policies, nodes, root }) => ({
    policies,
    root,
    nodes: nodes.map(({ labels, state, liveness, silentMs, refusal, free }, index) =>
      node(index + 1, {
        labels,
        state,
        liveness,
        silentMs,
        refusal,
        freeBytes: 100 * GIB * free,
      }),
    ),
    replicas: nodes.flatMap(({ replica: row }, index) =>
      row === undefined ? [] : [replica(index + 1, row.state, row.attempts)],
    ),
  }))

test('new copies go to distinct nodes that may and can take them', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const rules = mergePolicies(input.policies)
      const { allocate } = plan(input)
      assert.equal(new Set(allocate).size, allocate.length)
      for (const id of allocate) {
        const chosen = input.nodes.find((candidate) => candidate.id === id)
        assert.ok(chosen !== undefined && !isForbidden(rules, chosen) && chosen.refusal === null)
        assert.ok(chosen.liveness === 'up' && chosen.state === 'active')
        assert.ok(chosen.freeBytes >= leastFree(chosen.capacityBytes))
        const row = input.replicas.find(({ nodeId }) => nodeId === id)
        assert.ok(row === undefined || row.state === 'lost' || row.state === 'releasing')
      }
    }),
  )
})

test('a node is full below a share of a small disk, and below a fixed room of a large one', () => {
  const firstOf = (capacityBytes: number, freeBytes: number): readonly number[] =>
    plan({
      policies: [policy(1, 1)],
      nodes: [node(1, { capacityBytes, freeBytes })],
      replicas: [],
      root: 'r',
    }).allocate
  assert.deepEqual(firstOf(40 * GIB, 5 * GIB), [])
  assert.deepEqual(firstOf(40 * GIB, 7 * GIB), [1])
  assert.deepEqual(firstOf(20_000 * GIB, 15 * GIB), [])
  assert.deepEqual(firstOf(20_000 * GIB, 17 * GIB), [1])
})

test('what counts never crowds a place', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const rules = mergePolicies(input.policies)
      const { keep } = plan(input)
      const kept = input.nodes.filter(({ id }) => keep.includes(id))
      for (const copy of kept) assert.equal(crowdedRules(rules, copy, kept), 0)
    }),
  )
})

test('the order of nodes, replicas and policies does not matter', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const turned = plan({
        ...input,
        policies: [...input.policies].reverse(),
        nodes: [...input.nodes].reverse(),
        replicas: [...input.replicas].reverse(),
      })
      const { allocate, release, keep } = plan(input)
      assert.deepEqual(sorted(turned.allocate), sorted(allocate))
      assert.deepEqual(sorted(turned.release), sorted(release))
      assert.deepEqual(sorted(turned.keep), sorted(keep))
    }),
  )
})

test('a placement that was written down asks for nothing more', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const again = plan({ ...input, replicas: applied(input.replicas, plan(input)) })
      assert.deepEqual(again.allocate, [])
      assert.deepEqual(again.release, [])
    }),
    { numRuns: 2_000 },
  )
})

test('placement comes to rest when copies arrive', () => {
  fc.assert(fc.property(anyInput, (input) => void settled(input)))
})

test('nothing is released before enough verified copies satisfy every rule without it', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const rules = mergePolicies(input.policies)
      const { release } = plan(input)
      if (release.length === 0) return
      const left = input.nodes.filter(
        ({ id, liveness }) =>
          liveness === 'up' &&
          !release.includes(id) &&
          input.replicas.some(({ nodeId, state }) => nodeId === id && state === 'verified'),
      )
      assert.ok(left.length >= rules.target)
      assert.equal(shortage(rules, left), 0)
    }),
    { numRuns: 500 },
  )
})

test('what nobody wants is released everywhere', () => {
  const replicas = [replica(1, 'verified'), replica(2, 'lost'), replica(3, 'releasing'), replica(4, 'allocated')]
  const placement = plan({ policies: [], nodes: [node(1), node(2), node(3)], replicas, root: 'root' })
  assert.deepEqual(placement.release, [1, 2, 4])
  assert.deepEqual(placement.allocate, [])
})

test('a new node moves no copy, and takes at most one place of what is new', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 4, max: 12 }), (root, count) => {
      const nodes = Array.from({ length: count }, (_, index) =>
        node(index + 1, { labels: { region: `r${index % 4}` } }),
      )
      const grownBy = [...nodes, node(99, { labels: { region: 'r1' } })]
      const policies = [ONE_PER_REGION]
      const before = plan({ policies, nodes, replicas: [], root }).allocate
      const after = plan({ policies, nodes: grownBy, replicas: [], root }).allocate
      assert.ok(after.filter((id) => !before.includes(id)).length <= 1)
      const replicas = before.map((id) => replica(id, 'verified'))
      assert.deepEqual(plan({ policies, nodes: grownBy, replicas, root }).allocate, [])
    }),
  )
})

test('a node that goes costs exactly its own copy', () => {
  fc.assert(
    fc.property(fc.string(), (root) => {
      const nodes = Array.from({ length: 8 }, (_, index) => node(index + 1, { labels: { region: `r${index % 4}` } }))
      const held = plan({ policies: [DEFAULT_POLICY], nodes, replicas: [], root }).allocate
      const [gone, ...left] = held
      const remaining = nodes.filter(({ id }) => id !== gone)
      const replicas = left.map((id) => replica(id, 'verified'))
      assert.equal(plan({ policies: [DEFAULT_POLICY], nodes: remaining, replicas, root }).allocate.length, 1)
    }),
  )
})

test('nodes are chosen as often as their capacity says', () => {
  const nodes = [node(1), node(2), node(3, { capacityBytes: 200 * GIB, freeBytes: 190 * GIB })]
  const counts = new Map<number, number>()
  for (let index = 0; index < 4_000; index++) {
    const [first = 0] = plan({ policies: [policy(1, 1)], nodes, replicas: [], root: `root-${index}` }).allocate
    counts.set(first, (counts.get(first) ?? 0) + 1)
  }
  for (const [id, share] of [
    [1, 0.25],
    [2, 0.25],
    [3, 0.5],
  ] as const) {
    assert.ok(Math.abs((counts.get(id) ?? 0) / 4_000 - share) < 0.03, `${id}: ${counts.get(id)}`)
  }
})

test('several policies hold together: the largest counts and every rule', () => {
  const nodes = [1, 2, 3, 4, 5].map((id) => node(id, { labels: { region: `r${id}`, country: id === 5 ? 'cn' : 'de' } }))
  const policies = [
    policy(1, 2, [{ require: 'country', in: ['cn'], copies: 1 }]),
    policy(2, 3, [{ forbid: 'region', in: ['r1'] }]),
  ]
  const { allocate, problems } = plan({ policies, nodes, replicas: [], root: 'r' })
  assert.equal(allocate.length, 3)
  assert.ok(allocate.includes(5) && !allocate.includes(1))
  assert.deepEqual(problems, [])
})

test('a new region comes first, and a second copy in a region before one is missing', () => {
  const regions = ['eu', 'eu', 'eu', 'us', 'us', 'ap']
  const nodes = regions.map((region, index) => node(index + 1, { labels: { region } }))
  for (let index = 0; index < 100; index++) {
    const input = { policies: [DEFAULT_POLICY], nodes, replicas: [], root: `root-${index}` }
    const { allocate } = plan(input)
    assert.deepEqual(new Set(allocate.map((id) => regions[id - 1])), new Set(['eu', 'us', 'ap']))
    const two = plan({ ...input, nodes: nodes.slice(0, 5) })
    assert.deepEqual([two.allocate.length, two.problems], [3, []])
  }
})

test('what cannot be met is reported, and the possible is done', () => {
  const nodes = [node(1), node(2, { labels: { region: 'r1' } }), node(3, { liveness: 'down' })]
  const { allocate, problems } = plan({ policies: [ONE_PER_REGION], nodes, replicas: [], root: 'r' })
  assert.equal(allocate.length, 1)
  assert.deepEqual(problems, [
    {
      code: 'TOO_FEW_NODES',
      message: '1 of 3 copies have a place. Of the other nodes 1 is silent, 1 is where enough copies lie already.',
    },
  ])
})

test('rules about two labels do not lock each other', () => {
  const rules: PolicyRule[] = [
    { spread: 'region', max: 1 },
    { spread: 'provider', max: 1 },
  ]
  const nodes = [
    node(1, { labels: { region: 'eu', provider: 'a' }, capacityBytes: 1_000_000 * GIB, freeBytes: 999_999 * GIB }),
    node(2, { labels: { region: 'us', provider: 'a' } }),
    node(3, { labels: { region: 'eu', provider: 'b' } }),
  ]
  assert.deepEqual(sorted(plan({ policies: [policy(2, 2, rules)], nodes, replicas: [], root: 'r' }).allocate), [2, 3])
  const all = [1, 2, 3].map((nodeId) => ({ nodeId }))
  assert.equal(countsTowards(policy(2, 2, rules), all, nodes), 2)
})

test('a draining copy is replaced first and released after', () => {
  const nodes = [node(1, { state: 'draining' }), node(2), node(3), node(4)]
  const held = [replica(1, 'verified'), replica(2, 'verified'), replica(3, 'verified')]
  const input = { policies: [DEFAULT_POLICY], nodes, root: 'r' }
  assert.deepEqual(plan({ ...input, replicas: held }), { allocate: [4], release: [], keep: [2, 3, 4], problems: [] })
  assert.deepEqual(plan({ ...input, replicas: [...held, replica(4, 'stored')] }).release, [])
  assert.deepEqual(plan({ ...input, replicas: [...held, replica(4, 'verified')] }).release, [1])
})

test('a silent copy is waited for as long as every policy does, while the floor holds', () => {
  const nodes = [node(1, { liveness: 'down', silentMs: 40_000 }), node(2), node(3), node(4)]
  const replicas = [replica(1, 'lost'), replica(2, 'verified'), replica(3, 'verified')]
  const patient: Policy = { ...DEFAULT_POLICY, heal: { after: '10m' } }
  const waiting = plan({ policies: [patient], nodes, replicas, root: 'r' })
  assert.deepEqual([waiting.allocate, waiting.againAfterMs], [[], 560_000])
  assert.deepEqual(plan({ policies: [patient, DEFAULT_POLICY], nodes, replicas, root: 'r' }).allocate, [4])
  assert.deepEqual(plan({ policies: [patient], nodes, replicas: replicas.slice(0, 2), root: 'r' }).allocate.length, 2)
})

test('an allocation on a node that cannot take it is made elsewhere', () => {
  const nodes = [node(1, { refusal: 'ENOSPC' }), node(2), node(3), node(4)]
  const replicas = [replica(1, 'allocated'), replica(2, 'verified'), replica(3, 'allocated', 5)]
  const { allocate, release } = plan({ policies: [policy(1, 2)], nodes, replicas, root: 'r' })
  assert.deepEqual([allocate, release], [[4], []])
})

test('copies in one place count once, and repeated places leave room for the missing ones', () => {
  const nodes = [
    node(1, { labels: { region: 'eu' } }),
    node(2, { labels: { region: 'eu' } }),
    node(3, { labels: { region: 'us' } }),
  ]
  const at = (...ids: number[]): { nodeId: number }[] => ids.map((nodeId) => ({ nodeId }))
  const spread = policy(2, 3, [{ spread: 'region', max: 1 }])
  assert.equal(countsTowards(spread, at(1, 2), nodes), 1)
  assert.equal(countsTowards(spread, at(1, 2, 3), nodes), 2)
  const distinct = policy(3, 3, [{ spread: 'region', distinct: 2 }])
  assert.equal(countsTowards(distinct, at(1, 2), nodes), 2)
  assert.equal(countsTowards(distinct, at(1, 2, 3), nodes), 3)
  assert.equal(countsTowards(policy(2, 2, [{ spread: 'region', distinct: 2 }]), at(1, 2), nodes), 1)
})

function sorted(ids: readonly number[]): number[] {
  return [...ids].sort((a, b) => a - b)
}
