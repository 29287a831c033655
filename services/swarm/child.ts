import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { connectPeer, type PeerClient } from './client.ts'
import type { Log } from './log.ts'

export interface PeerCommand {
  /** The program and its arguments, for example the Node executable and the peer's entry. */
  command: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
  /** Where the child will listen. */
  socketPath: string
}

/** What the child tells its parent over the IPC channel, on which it also hears that the parent has died. */
export type ChildMessage = { kind: 'ready' } | { kind: 'alive'; rssBytes: number }

export interface SupervisionOptions {
  log: Log
  /** A child that uses more memory is ended and started anew. @default no limit */
  maxRssBytes?: number
  /** A child that has said nothing for this long hangs: it is killed. @default 60 s */
  hangMs?: number
}

/** A peer process that is kept running. Disposing it ends the child and waits for that. */
export interface SupervisedPeer extends AsyncDisposable {
  /** Works whenever the child is up, whichever it is. */
  readonly client: PeerClient
  /** The running child's process id. */
  readonly pid: number | undefined
  /** Resolves once the child that runs now, or the next, is ready for calls. */
  ready(options?: { signal?: AbortSignal }): Promise<void>
}

const FIRST_RESTART_MS = 100
const LAST_RESTART_MS = 10 * SECOND_MS
/** A child that lived this long was well: the next restart does not wait. */
const WELL_MS = MINUTE_MS
const LOOKS_WITHIN_HANG = 4
const STOP_TIMEOUT_MS = 10 * SECOND_MS

/** Starts the peer process, and starts it anew, after a pause that grows, whenever it ends. */
export function supervisePeer(command: PeerCommand, options: SupervisionOptions): SupervisedPeer {
  return new Supervisor(command, options)
}

class Supervisor implements SupervisedPeer {
  readonly client: PeerClient
  readonly #command: PeerCommand
  readonly #options: SupervisionOptions
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #child: ChildProcess | undefined
  #isReady = false
  #becomesReady = Promise.withResolvers<void>()

  constructor(command: PeerCommand, options: SupervisionOptions) {
    this.#command = command
    this.#options = options
    this.client = connectPeer(command.socketPath)
    this.#running = this.#keepRunning()
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async ready({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#isReady) return
    if (signal === undefined) return await this.#becomesReady.promise
    signal.throwIfAborted()
    await Promise.race([this.#becomesReady.promise, once(signal, 'abort').then(() => signal.throwIfAborted())])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.client[Symbol.dispose]()
  }

  async #keepRunning(): Promise<void> {
    const { log } = this.#options
    let pauseMs = FIRST_RESTART_MS
    while (!this.#stopping.signal.aborted) {
      const startedAt = performance.now()
      const exit = await this.#runOnce()
      if (this.#stopping.signal.aborted) return
      if (performance.now() - startedAt >= WELL_MS) pauseMs = FIRST_RESTART_MS
      log.error({ ...exit, pauseMs }, 'the peer process ended and is started again')
      await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
      pauseMs = Math.min(pauseMs * 2, LAST_RESTART_MS)
    }
  }

  /** Runs one child to its end. */
  async #runOnce(): Promise<{ code: number | null; signal: NodeJS.Signals | null } | { err: unknown }> {
    const { command, args, env } = this.#command
    const child = spawn(command, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    // Counted in looks and not by the clock: while the whole machine stands still, neither side does anything.
    let silentLooks = 0
    child.on('message', (message: ChildMessage) => {
      silentLooks = 0
      this.#hear(child, message)
    })
    const { hangMs = MINUTE_MS } = this.#options
    const watch = setInterval(() => {
      silentLooks += 1
      if (silentLooks > LOOKS_WITHIN_HANG) this.#end(child, 'SIGKILL', 'the peer process hangs')
    }, hangMs / LOOKS_WITHIN_HANG)
    const onStop = (): void => stop(child)
    this.#stopping.signal.addEventListener('abort', onStop)
    try {
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
      return { code, signal }
    } catch (err) {
      return { err }
    } finally {
      clearInterval(watch)
      this.#stopping.signal.removeEventListener('abort', onStop)
      this.#child = undefined
      if (this.#isReady) this.#becomesReady = Promise.withResolvers<void>()
      this.#isReady = false
    }
  }

  #hear(child: ChildProcess, message: ChildMessage): void {
    if (message.kind === 'ready') {
      this.#isReady = true
      this.#becomesReady.resolve()
      this.#options.log.info({ pid: child.pid }, 'the peer process is ready')
    } else if (message.rssBytes > (this.#options.maxRssBytes ?? Infinity)) {
      this.#end(child, 'SIGTERM', 'the peer process uses too much memory')
    }
  }

  #end(child: ChildProcess, signal: NodeJS.Signals, reason: string): void {
    this.#options.log.error({ pid: child.pid }, reason)
    child.kill(signal)
  }
}

/** Asks the child to end, and kills it when it does not. */
function stop(child: ChildProcess): void {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  child.once('exit', () => clearTimeout(timer))
}
