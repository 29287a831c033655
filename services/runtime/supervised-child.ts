import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'

/** The program and its arguments, for example the Node executable and the child's entry. */
export interface ChildCommand {
  command: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
}

/**
 * What every child tells its parent over the IPC channel, on which it also hears that the parent has died
 * (`parent.ts`). Other messages are the business of the two.
 */
export type ChildMessage = { kind: 'ready' } | { kind: 'alive'; rssBytes: number }

/** What is needed of a log: pino's shape. */
export interface ChildLog {
  info(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface SupervisionOptions {
  /** What the child is, for the log: `the peer process`. */
  name: string
  log: ChildLog
  /** A child that uses more memory is ended and started anew. @default no limit */
  maxRssBytes?: number
  /** A child that has said nothing for this long hangs: it is killed. @default 60 s */
  hangMs?: number
  /** Hears what the child says beside that it is ready and alive. */
  onMessage?: (message: object) => void
}

/** A child process that is kept running. Disposing it ends the child and waits for that. */
export interface SupervisedChild extends AsyncDisposable {
  /** The running child's process id. */
  readonly pid: number | undefined
  /** Resolves once the child that runs now, or the next, is ready. */
  ready(options?: { signal?: AbortSignal }): Promise<void>
  /** Tells something to the child that runs now; lost when none does. */
  send(message: object): void
}

const FIRST_RESTART_MS = 100
const LAST_RESTART_MS = 10 * SECOND_MS
/** A child that lived this long was well: the next restart does not wait. */
const WELL_MS = MINUTE_MS
const LOOKS_WITHIN_HANG = 4
const STOP_TIMEOUT_MS = 10 * SECOND_MS

/** Starts the process, and starts it anew, after a pause that grows, whenever it ends. */
export function superviseChild(command: ChildCommand, options: SupervisionOptions): SupervisedChild {
  return new Supervisor(command, options)
}

class Supervisor implements SupervisedChild {
  readonly #command: ChildCommand
  readonly #options: SupervisionOptions
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #child: ChildProcess | undefined
  #isReady = false
  #becomesReady = Promise.withResolvers<void>()

  constructor(command: ChildCommand, options: SupervisionOptions) {
    this.#command = command
    this.#options = options
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

  send(message: object): void {
    if (this.#child?.connected) this.#child.send(message, () => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #keepRunning(): Promise<void> {
    const { log, name } = this.#options
    let pauseMs = FIRST_RESTART_MS
    while (!this.#stopping.signal.aborted) {
      const startedAt = performance.now()
      const exit = await this.#runOnce()
      if (this.#stopping.signal.aborted) return
      if (performance.now() - startedAt >= WELL_MS) pauseMs = FIRST_RESTART_MS
      log.error({ ...exit, pauseMs }, `${name} ended and is started again`)
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
    child.on('message', (message: ChildMessage | { kind: undefined }) => {
      silentLooks = 0
      this.#hear(child, message)
    })
    const { hangMs = MINUTE_MS } = this.#options
    const watch = setInterval(() => {
      silentLooks += 1
      if (silentLooks > LOOKS_WITHIN_HANG) this.#end(child, 'SIGKILL', 'hangs')
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

  #hear(child: ChildProcess, message: ChildMessage | { kind: undefined }): void {
    const { name, log, maxRssBytes = Infinity, onMessage } = this.#options
    if (message.kind === 'ready') {
      this.#isReady = true
      this.#becomesReady.resolve()
      log.info({ pid: child.pid }, `${name} is ready`)
    } else if (message.kind !== 'alive') {
      onMessage?.(message)
    } else if (message.rssBytes > maxRssBytes) {
      this.#end(child, 'SIGTERM', 'uses too much memory')
    }
  }

  #end(child: ChildProcess, signal: NodeJS.Signals, trouble: string): void {
    const { name, log } = this.#options
    log.error({ pid: child.pid }, `${name} ${trouble}`)
    child.kill(signal)
  }
}

/** Asks the child to end, and kills it when it does not. */
function stop(child: ChildProcess): void {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  child.once('exit', () => clearTimeout(timer))
}
