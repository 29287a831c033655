import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { HoldfastError } from '../core/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { ENGINE_FLAGS } from './engine-flags.ts'

/**
 * A role of the program as a child process. Parent and child share an IPC channel: the child says once that it is ready,
 * and stops by itself when the channel closes, so that a parent that was killed leaves no orphan.
 */
export interface RoleProcess extends AsyncDisposable {
  readonly name: string
  readonly pid: number
  /** What the child said when it was ready. */
  readonly ready: Promise<unknown>
  /** Resolves when the process has ended, with a phrase of how. */
  readonly ended: Promise<string>
}

/** After this a child that was asked to stop is killed. */
const STOP_WITHIN_MS = 20 * SECOND_MS
const READY_WITHIN_MS = MINUTE_MS

export interface RoleSettings {
  name: string
  /** The program and its arguments, run by this process's own Node. */
  program: readonly string[]
  env: Readonly<Record<string, string | undefined>>
  /** Where its standard output and error go. */
  logFile: string
}

export function startRole({ name, program, env, logFile }: RoleSettings): RoleProcess {
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', 'ipc']
  const child = spawn(process.execPath, [...ENGINE_FLAGS, ...program], { env, stdio, detached: true })
  const log = createWriteStream(logFile, { flags: 'a' })
  child.stdout?.pipe(log, { end: false })
  child.stderr?.pipe(log, { end: false })
  const ended = endOf(child)
  const ready = readyOf(child, { name, ended, logFile })
  ready.catch(() => {})
  return {
    name,
    pid: child.pid ?? 0,
    ready,
    ended,
    async [Symbol.asyncDispose]() {
      await stop(child, ended)
      log.end()
    },
  }
}

async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return signal === null ? `exit code ${code}` : signal
}

async function readyOf(
  child: ChildProcess,
  { name, ended, logFile }: { name: string; ended: Promise<string>; logFile: string },
): Promise<unknown> {
  const message = once(child, 'message', { signal: AbortSignal.timeout(READY_WITHIN_MS) }).then(
    ([said]: unknown[]) => said as Said,
    (cause: unknown) => {
      throw new HoldfastError('TIMED_OUT', `${name} was not ready in time; see ${logFile}.`, { cause })
    },
  )
  const said = await Promise.race([message, ended])
  message.catch(() => {})
  if (typeof said === 'string') {
    throw new HoldfastError('UNAVAILABLE', `${name} ended before it was ready (${said}); see ${logFile}.`)
  }
  if ('failed' in said) throw new HoldfastError('CONFIG', said.failed)
  return said.ready
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended
  clearTimeout(timer)
}

type Said = { ready: unknown } | { failed: string }

/** Tells the parent, when there is one, that this process is ready. */
export function sayReady(details: unknown): void {
  process.send?.({ ready: details } satisfies Said)
}

/** Tells the parent, when there is one, in one sentence why this process cannot start. */
export function sayFailed(sentence: string): void {
  process.send?.({ failed: sentence } satisfies Said)
}

/** Calls back when the parent is gone. */
export function onOrphaned(react: () => void): void {
  if (process.send !== undefined) process.once('disconnect', react)
}
