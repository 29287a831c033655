import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { CarWriter } from '@ipld/car'
import type { CID } from 'multiformats/cid'
import type { Block } from '../../services/dag/fetch-dag.ts'
import type { Cluster } from './cluster.ts'
import { failure } from './web.ts'

/** One row of the table of input that users and peers may send and that must do no harm. */
export interface BadInput {
  id: string
  area: string
  input: string
  expected: string
}

export const BAD_INPUTS = JSON.parse(
  readFileSync(new URL('../fixtures/bad-inputs.json', import.meta.url), 'utf8'),
) as BadInput[]

/** A test of a row of the table, under the row's own words. */
export function badInput(id: string, check: (t: TestContext) => Promise<void>): void {
  const row = BAD_INPUTS.find((candidate) => candidate.id === id)
  assert.ok(row, `there is no row ${id}`)
  test(`${row.area}: ${row.input}`, check)
}

/** What may not change while a cluster is sent bad input. */
export interface Watch {
  /** Fails when a process has ended, another has come, or one has grown by more than `growthBytes`. */
  unharmed(growthBytes?: number): void
}

const MIB = 1_048_576

/** Remembers the cluster's processes, the nodes' children too, and their memory. */
export function watch(cluster: Cluster): Watch {
  const before = processesOf(cluster)
  return {
    unharmed(growthBytes = 256 * MIB) {
      const now = processesOf(cluster)
      assert.deepEqual(new Set(now.keys()), new Set(before.keys()), 'the processes')
      for (const [pid, rss] of now) {
        const grown = rss - (before.get(pid) ?? 0)
        assert.ok(grown < growthBytes, `process ${pid} has grown by ${Math.round(grown / MIB)} MiB`)
      }
    },
  }
}

/** Bytes in memory by process id. */
function processesOf({ ready }: Cluster): Map<number, number> {
  const roots = new Set([ready.control.pid, ...ready.nodes.map(({ pid }) => pid)])
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss=,stat='], { encoding: 'utf8' }).trim().split('\n')
  const found = new Map<number, number>()
  for (const line of lines) {
    const [pid = 0, parent = 0, kilobytes = 0] = line.trim().split(/\s+/).map(Number)
    const isZombie = line.trim().endsWith('Z')
    if (!isZombie && (roots.has(pid) || roots.has(parent))) found.set(pid, kilobytes * 1_024)
  }
  return found
}

/** The answer is that failure, in the one shape that failures have. */
export async function refused(response: Response, status: number, details: RegExp = /./): Promise<string> {
  const told = await failure(response)
  assert.equal(response.status, status, `${told.reason}: ${told.details}`)
  assert.match(told.details, details)
  return told.reason
}

/** A gateway's answer to a client that reads JSON. */
export async function read(gateway: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${gateway}${path}`, { headers: { accept: '*/*, application/json', ...headers } })
}

/** Pins of the account in any state. */
export async function pinCount(cluster: Cluster): Promise<number> {
  const query = '/psa/pins?status=queued,pinning,pinned,failed&limit=1'
  return (await cluster.json<{ count: number }>(query)).count
}

/** A CAR of these blocks, which are not looked at. */
export async function carOf(roots: readonly CID[], blocks: Iterable<Block>): Promise<Buffer<ArrayBuffer>> {
  const { writer, out } = CarWriter.create([...roots])
  const gathered = Array.fromAsync(out)
  for (const block of blocks) await writer.put(block)
  await writer.close()
  return Buffer.concat(await gathered)
}
