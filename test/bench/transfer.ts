import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { openBlockStore } from '../../services/blocks/store.ts'
import { parseCid } from '../../services/core/cid.ts'
import { MIB } from '../../services/core/units.ts'
import { loadIdentity } from '../../services/runtime/identity.ts'
import { openTransferClient, type TransferClient } from '../../services/transfer/client.ts'
import { replicateSmall } from '../../services/transfer/replicate-small.ts'
import { replicate } from '../../services/transfer/replicate.ts'
import { temporaryFolder } from '../support/blocks.ts'
import { median, type Row } from './rows.ts'
import type { HolderReady, HolderTask } from './transfer-holder.ts'

/**
 * Copies from a node in another process, durable and verified, against what the machine can do at best in the same run:
 * raw TCP into one buffer, hashed as it comes, written to one file, synced once. Rounds are interleaved.
 */

const ROUNDS = 5
const FILE_BYTES = 256 * MIB
const SMALL_ROOTS = 6_000
const GROUP_BYTES = 4 * MIB

export async function benchTransfer(): Promise<Row[]> {
  await using folder = await temporaryFolder()
  const identity = await loadIdentity(join(folder.path, 'reader.pem'))
  const task: HolderTask = {
    folder: folder.path,
    reader: identity.publicKey,
    fileBytes: FILE_BYTES,
    smallRoots: SMALL_ROOTS,
  }
  const child = fork(join(import.meta.dirname, 'transfer-holder.ts'), [JSON.stringify(task)])
  try {
    const [ready] = (await once(child, 'message')) as [HolderReady]
    const address = { publicKey: ready.publicKey, host: '127.0.0.1', port: ready.port }
    using client = openTransferClient({ identity, directory: { node: () => address, roleOf: () => undefined } })
    return await rounds(folder.path, ready, client)
  } finally {
    child.disconnect()
    await once(child, 'exit')
  }
}

async function rounds(folder: string, ready: HolderReady, client: TransferClient): Promise<Row[]> {
  const limits: number[] = []
  const copies: number[] = []
  const cpu: number[] = []
  const small: number[] = []
  const smallCpu: number[] = []
  const signal = new AbortController().signal
  const roots = ready.roots.map(parseCid)
  for (let round = 0; round < ROUNDS; round++) {
    limits.push(await seconds(() => receiveRaw(ready.rawPort, join(folder, `raw-${round}`))))
    await using store = await openBlockStore(join(folder, `copy-${round}`))
    let before = process.cpuUsage()
    const options = { sources: ['holder'], store, client, signal, maxBytes: 2 * FILE_BYTES }
    copies.push(await seconds(() => replicate({ root: parseCid(ready.root), ...options })))
    cpu.push(cpuMs(before) / (FILE_BYTES / 1_000_000))
    before = process.cpuUsage()
    small.push(await seconds(() => replicateSmall({ roots, source: 'holder', store, client, signal })))
    smallCpu.push(cpuMs(before) / SMALL_ROOTS)
  }
  const limit = FILE_BYTES / median(limits)
  const copy = FILE_BYTES / median(copies)
  const rootRate = SMALL_ROOTS / median(small)
  return [
    {
      what: 'copy of 256 MiB, TLS, verified, durable',
      measured: `${(copy / 1e6).toFixed(0)} MB/s, ${median(cpu).toFixed(1)} ms CPU/MB`,
      against: `${(limit / 1e6).toFixed(0)} MB/s raw TCP, SHA-256, disk`,
      ratio: copy / limit,
      target: '>= 0.49',
      isMet: copy / limit >= 0.49,
    },
    {
      what: `copy of ${SMALL_ROOTS} small roots in batches, each durable`,
      measured: `${rootRate.toFixed(0)} roots/s, ${(median(smallCpu) * 1_000).toFixed(0)} µs CPU/root`,
      against: '',
      ratio: undefined,
      target: '>= 20000/s',
      isMet: rootRate >= 20_000,
    },
  ]
}

function cpuMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1_000
}

/** Receives everything into pooled buffers, hashes it, writes it in groups, and syncs at the end. */
async function receiveRaw(port: number, path: string): Promise<void> {
  await using file = await open(path, 'w')
  const hash = createHash('sha256')
  let group = Buffer.allocUnsafeSlow(GROUP_BYTES)
  let used = 0
  let writing: Promise<unknown> = Promise.resolve()
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: {
      buffer: Buffer.allocUnsafeSlow(256 * 1_024),
      callback(length, bytes) {
        const chunk = bytes.subarray(0, length)
        hash.update(chunk)
        if (used + length > group.length) {
          const full = group.subarray(0, used)
          writing = writing.then(() => file.write(full))
          group = Buffer.allocUnsafeSlow(GROUP_BYTES)
          used = 0
        }
        group.set(chunk, used)
        used += length
        return true
      },
    },
  })
  await once(socket, 'close')
  hash.digest()
  await writing
  await file.write(group.subarray(0, used))
  await file.datasync()
}
