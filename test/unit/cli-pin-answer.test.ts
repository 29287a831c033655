import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerWhy, headline } from '../../services/cli/pin-answer.ts'
import type { PinDetails, ReplicaView } from '../../services/cli/pin-view.ts'

const MIB = 1_048_576

function copy(node: string, more: Partial<ReplicaView>): ReplicaView {
  const nothing = {
    doneBytes: 0,
    doneBlocks: 0,
    phase: null,
    attempts: 0,
    verifiedAt: null,
    error: null,
    nextTryMs: null,
  }
  return {
    node,
    region: node.split('-')[0] ?? '',
    state: 'allocated',
    bytes: 64 * MIB,
    blocks: 65,
    ...nothing,
    ...more,
  }
}

function pin(
  status: PinDetails['status'],
  explain: Partial<PinDetails['explain']>,
  replicas: ReplicaView[],
): PinDetails {
  return {
    requestid: '01a21074-41f1-7daa-8ddb-acac0a52dfca',
    status,
    created: '2026-01-02T03:04:05.678901Z',
    pin: { cid: 'bafycid', name: 'photos' },
    delegates: [],
    policy: { name: 'default', spec: { copies: { min: 2, target: 3 } } },
    replicas,
    explain: {
      phase: 'fetching',
      progress: {
        verified: replicas.filter(({ state }) => state === 'verified').length,
        doneBytes: 0,
        totalBytes: null,
      },
      waitsFor: [],
      lastError: null,
      nextTryMs: null,
      ...explain,
    },
  }
}

test('a pin with all its copies says so and no more', () => {
  const replicas = ['a-1', 'b-1', 'c-1'].map((node) => copy(node, { state: 'verified' }))
  assert.equal(headline(pin('pinned', { phase: 'pinned' }, replicas)), 'pinned: 3 of 3 copies verified')
})

test('a pin on its way says what is there, who does what, when it is tried again and what went wrong', () => {
  const replicas = [
    copy('shanghai-1', { state: 'verified' }),
    copy('virginia-1', { phase: 'fetching', doneBytes: 40 * MIB }),
    copy('frankfurt-1', {}),
  ]
  const lastError = { node: 'frankfurt-1', code: 'UPSTREAM_FAILED', message: 'No peer has it.' }
  assert.equal(
    headline(pin('pinning', { lastError, nextTryMs: 12_300 }, replicas)),
    'pinning: 1 of 2 needed copies verified; virginia-1 is fetching 40.0 MiB of 64.0 MiB; frankfurt-1 has yet to fetch it; ' +
      'next try in 12 s; last error of frankfurt-1: No peer has it',
  )
})

test('a failed pin says why', () => {
  const waitsFor = ['The content was found nowhere.']
  assert.equal(
    headline(pin('failed', { phase: 'failed', waitsFor }, [])),
    'failed: 0 of 2 needed copies verified; The content was found nowhere',
  )
})

test('the whole answer has the facts, the copies and what has to happen', () => {
  const replicas = [copy('shanghai-1', { state: 'stored', phase: 'verifying' }), copy('virginia-1', { state: 'lost' })]
  const answer = answerWhy(
    pin('pinning', { waitsFor: ['virginia-1 is silent; its copy is being made again.'] }, replicas),
  )
  for (const part of [
    'photos',
    'default: 3 copies, pinned from 2 on',
    '64.0 MiB',
    'What has to happen next:',
    'SHANGHAI-1',
  ])
    assert.ok(answer.toLowerCase().includes(part.toLowerCase()), part)
})

test('what nodes and accounts write cannot drive the terminal', () => {
  const named = {
    ...pin('pinned', { phase: 'pinned' }, [copy('a-1', { error: 'x\u001b[2J' })]),
    pin: { cid: 'c', name: '\u001b]0;x' },
  }
  assert.ok(!answerWhy(named).includes('\u001b'))
})
