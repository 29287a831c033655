import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import type { BlockReader } from './blocks/contract.ts'
import type { EdgeReads } from './core/edge-reads.ts'
import { hasCode, HoldfastError } from './core/errors.ts'
import { MINUTE_MS, SECOND_MS } from './core/units.ts'
import type { FromWorker, ToWorker } from './gateway-worker-messages.ts'
import type { NodeRecords } from './node-gateway.ts'
import { parseIpnsName } from './naming/ipns-name.ts'
import { verifyIpnsRecord } from './naming/ipns-record.ts'
import type { RulesFolder } from './node/rules-folder.ts'
import { childEnvironment, type Config } from './runtime/config.ts'
import { ENGINE_FLAGS } from './runtime/engine-flags.ts'
import { authority, claimSharedPort } from './runtime/http/server.ts'
import type { Log } from './runtime/log.ts'
import { loop } from './runtime/loop.ts'
import type { MetricOfOther } from './runtime/metrics.ts'
import { superviseChild, type SupervisedChild } from './runtime/supervised-child.ts'

export interface WorkersOptions {
  folder: string
  store: Pick<BlockReader, 'get'>
  records: Pick<NodeRecords, 'given' | 'found'>
  rules: RulesFolder
  /** Takes what they read of roots that the store does not have. */
  onReads: (reads: EdgeReads) => void
  ownName: () => string
  /** Ends the wait for them to come up. */
  signal: AbortSignal
  log: Log
}

/** The gateway processes of a node. Disposing them lets answers under way end. */
export interface GatewayWorkers extends AsyncDisposable {
  url: string
  /** Has a record served by all of them. */
  offer(name: string, record: Uint8Array): void
  /** The metrics of each; one that does not answer at once is left out. */
  metrics(): Promise<MetricOfOther[]>
}

/** What a worker may use; its caches are bounded far below. */
const MAX_WORKER_BYTES = 1_024 * 1_024 * 1_024
const STATE_EVERY_MS = SECOND_MS
const COUNTED_WITHIN_MS = SECOND_MS

/**
 * Starts as many gateway processes as the configuration says, and keeps them running. They share the gateway's port, over
 * which the system spreads connections, and the store, which they only read; what is to be written comes here.
 * @throws CONFIG when the port is taken or cannot be shared; TIMED_OUT when they do not come up; the signal's reason
 */
export async function startGatewayWorkers(config: Config, options: WorkersOptions): Promise<GatewayWorkers> {
  const { HOLDFAST_HOST: host, HOLDFAST_GATEWAY_WORKERS: count } = config
  const port = await claimSharedPort({
    host,
    port: config.HOLDFAST_GATEWAY_PORT,
    settingName: 'HOLDFAST_GATEWAY_PORT',
  })
  await using opened = new AsyncDisposableStack()
  const workers: Worker[] = []
  const offer = (name: string, record: Uint8Array): void => {
    for (const worker of workers) worker.tell({ kind: 'offer', name, record: base64(record) })
  }
  for (let index = 0; index < count; index++) {
    workers.push(opened.use(new Worker(index, { ...options, port, offer })))
  }
  const stop = new AbortController()
  const telling = loop('gateway workers', async () => workers.forEach((worker) => worker.tellState()), {
    everyMs: STATE_EVERY_MS,
    log: options.log,
    signal: stop.signal,
  })
  opened.defer(async () => {
    stop.abort()
    await telling
  })
  await allReady(workers, options.signal)
  const owned = opened.move()
  return {
    url: `http://${authority(host, port)}`,
    offer,
    async metrics() {
      return (await Promise.all(workers.map((worker) => worker.metrics()))).flat()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function allReady(workers: readonly Worker[], signal: AbortSignal): Promise<void> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(MINUTE_MS)])
  try {
    await Promise.all(workers.map((worker) => worker.ready(within)))
  } catch (cause) {
    signal.throwIfAborted()
    throw new HoldfastError('TIMED_OUT', 'The gateway processes do not come up; their log says why.', { cause })
  }
}

interface WorkerOptions extends WorkersOptions {
  port: number
  offer: (name: string, record: Uint8Array) => void
}

class Worker implements AsyncDisposable {
  readonly #index: number
  readonly #options: WorkerOptions
  readonly #child: SupervisedChild
  readonly #counting = new Map<number, (metrics: MetricOfOther[]) => void>()
  #id = 0

  constructor(index: number, options: WorkerOptions) {
    this.#index = index
    this.#options = options
    const { folder, port, log } = options
    this.#child = superviseChild(
      {
        command: process.execPath,
        args: [...ENGINE_FLAGS, join(import.meta.dirname, 'main.ts'), 'gateway'],
        env: childEnvironment({ HOLDFAST_DATA: folder, HOLDFAST_GATEWAY_PORT: String(port) }),
      },
      {
        name: `gateway process ${index}`,
        log,
        maxRssBytes: MAX_WORKER_BYTES,
        onMessage: (message) => this.#hear(message as FromWorker),
      },
    )
  }

  tell(message: ToWorker): void {
    this.#child.send(message)
  }

  tellState(): void {
    const { rules, ownName } = this.#options
    const { nowMs, signingKeys } = rules.unwritten
    this.tell({
      kind: 'state',
      name: ownName(),
      ...(nowMs === undefined ? {} : { nowMs }),
      signingKeys: signingKeys.map(([tenant, keys]) => [tenant, keys.map(base64)]),
    })
  }

  ready(signal: AbortSignal): Promise<void> {
    return this.#child.ready({ signal })
  }

  /** With the process as a label: one that starts anew begins at 0, which in a sum would be taken for a start of all. */
  async metrics(): Promise<MetricOfOther[]> {
    const id = ++this.#id
    const { promise, resolve } = Promise.withResolvers<MetricOfOther[]>()
    this.#counting.set(id, resolve)
    this.tell({ kind: 'count', id })
    const late = new AbortController()
    const timeout = delay(COUNTED_WITHIN_MS, undefined, { signal: late.signal }).catch(() => undefined)
    try {
      return labelled((await Promise.race([promise, timeout])) ?? [], String(this.#index))
    } finally {
      late.abort()
      this.#counting.delete(id)
    }
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'hello') this.tellState()
    else if (message.kind === 'put') void this.#put(message)
    else if (message.kind === 'read') this.#options.onReads(message.reads)
    else if (message.kind === 'counted') this.#counting.get(message.id)?.(message.metrics)
    else void this.#reread(message.cid)
  }

  /** Keeps a record, and has the newest served by all. */
  async #put({ id, shelf, name: text, record }: Extract<FromWorker, { kind: 'put' }>): Promise<void> {
    const { records, offer, log } = this.#options
    try {
      const name = parseIpnsName(text)
      const kept = await records[shelf].put(name, verifyIpnsRecord(name, Buffer.from(record, 'base64')))
      this.tell({ kind: 'kept', id, record: base64(kept.bytes) })
      offer(text, kept.bytes)
    } catch (error) {
      if (!hasCode(error)) log.error({ err: error }, 'a record of a gateway process could not be kept by a defect')
      const { code, message } = hasCode(error)
        ? error
        : { code: 'INTERNAL_ERROR' as const, message: 'The record could not be kept.' }
      this.tell({ kind: 'refused', id, code, message })
    }
  }

  /** The store that is written quarantines what it finds damaged, and has it fetched again. */
  async #reread(cid: string): Promise<void> {
    await this.#options.store.get(CID.parse(cid)).catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
  }
}

function labelled(metrics: MetricOfOther[], worker: string): MetricOfOther[] {
  return metrics.map((metric) => ({
    ...metric,
    values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, worker } })),
  }))
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
