import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { SHA2_256, RAW } from '../../services/core/cid.ts'
import { Denylist } from '../../services/core/denylist.ts'
import { Denylists } from '../../services/core/denylists.ts'
import { MIB } from '../../services/core/units.ts'
import type { Row } from './rows.ts'

/**
 * A list as large as the public one (badbits): what it takes to read it, to keep it, and for each block that a
 * gateway sends.
 */

const RULES = 500_000
const BLOCKS = 20_000

export function benchDenylist(): Promise<Row[]> {
  const hashes = Array.from({ length: RULES }, (_, index) => createHash('sha256').update(String(index)).digest('hex'))
  const list = new Denylist('bench')
  const readMs = cpuMs(() => {
    list.add('---')
    for (const hash of hashes) list.add(`//${hash}`)
    list.end()
  })
  const cids = Array.from({ length: BLOCKS }, (_, index) =>
    CID.createV1(RAW, create(SHA2_256, createHash('sha256').update(`block ${index}`).digest())),
  )
  const lists = new Denylists([list])
  const askAll = (): void => {
    for (const cid of cids) lists.block(cid)
  }
  const firstMicros = (cpuMs(askAll) / BLOCKS) * 1_000
  const againMicros = (cpuMs(askAll) / BLOCKS) * 1_000
  return Promise.resolve([
    {
      what: `${RULES} rules, read`,
      measured: `${((readMs * 1_000) / RULES).toFixed(1)} us/rule`,
      against: '',
      ratio: undefined,
      target: 'at most 20 us/rule',
      isMet: (readMs * 1_000) / RULES <= 20,
    },
    {
      what: `${RULES} rules, memory`,
      measured: `${(list.memoryBytes / MIB).toFixed(1)} MiB, ${(list.memoryBytes / RULES).toFixed(0)} bytes/rule`,
      against: '',
      ratio: undefined,
      target: 'at most 64 bytes/rule',
      isMet: list.memoryBytes / RULES <= 64,
    },
    {
      what: 'a block, seen the first time',
      measured: `${firstMicros.toFixed(1)} us CPU`,
      against: '',
      ratio: undefined,
      target: 'at most 60 us',
      isMet: firstMicros <= 60,
    },
    {
      what: 'a block, seen before',
      measured: `${againMicros.toFixed(2)} us CPU`,
      against: '',
      ratio: undefined,
      target: 'at most 2 us',
      isMet: againMicros <= 2,
    },
  ])
}

function cpuMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}
