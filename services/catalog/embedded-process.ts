import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { MIB, SECOND_MS } from '../core/units.ts'
import type { Binaries } from './embedded-binaries.ts'
import { DATA_FROM_INSIDE, type ServerFolder } from './embedded-folder.ts'
import { NOBODY } from './embedded-owner.ts'

/**
 * Runs the server for as long as our end of standard input is open, so that a fast shutdown follows however we end,
 * by `kill -9` as well. The shell ends when the server does, with its exit code.
 */
const UNTIL_INPUT_CLOSES = `
exec 3<&0
"$0" "$@" 3<&- & server=$!
( read -r _ <&3; kill -INT $server ) & watch=$!
exec 3<&-
wait $server; code=$?
kill $watch 2>/dev/null
exit $code
`

/** A server that we started. */
export interface ServerProcess {
  /** Resolves when it has ended, for whatever reason. */
  ended: Promise<void>
  isRunning(): boolean
  /** Fast shutdown: sessions are cut, what was committed stays. */
  stop(): Promise<void>
}

export type ServerSettings = Readonly<Record<string, string>>

const SETTINGS: ServerSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  cluster_name: 'holdfast',
  max_connections: '100',
  log_min_messages: 'warning',
}

const LOG_LIMIT_BYTES = 8 * MIB
const STOP_TIMEOUT_MS = 15 * SECOND_MS

export async function spawnServer(
  binaries: Binaries,
  folder: ServerFolder,
  settings: ServerSettings,
): Promise<ServerProcess> {
  await using log = await openLog(logFile(folder))
  const args = Object.entries({ ...SETTINGS, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(
    '/bin/sh',
    ['-c', UNTIL_INPUT_CLOSES, binaries.postgres, '-D', DATA_FROM_INSIDE ?? folder.data, ...args],
    // A session of its own: Ctrl-C in the terminal reaches us, and we stop it when nobody needs it any more.
    { ...NOBODY, cwd: folder.data, detached: true, stdio: ['pipe', log.fd, log.fd], env: {} },
  )
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  // It must not keep a process alive that forgot to stop it; that process's end stops it.
  child.unref()
  ;(child.stdin as Socket | null)?.unref()
  child.stdin?.on('error', () => undefined)
  return { ended, isRunning: () => isRunning(child), stop: () => stop(child) }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

async function stop(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return
  child.ref()
  const exited = once(child, 'exit')
  // Sessions that do not end in time are cut without their consent; the log brings everything back at the next start.
  const force = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGQUIT'), STOP_TIMEOUT_MS)
  child.stdin?.end()
  await exited
  clearTimeout(force)
}

function logFile({ path }: ServerFolder): string {
  return join(path, 'log')
}

async function openLog(file: string): Promise<Awaited<ReturnType<typeof open>>> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  )
  if (size > LOG_LIMIT_BYTES) await rename(file, `${file}.1`)
  return open(file, 'a', 0o600)
}

/** The end of the server's log, for an error message. */
export async function lastWords(folder: ServerFolder): Promise<string> {
  const log = await readFile(logFile(folder), 'utf8').catch(() => '')
  return log.trim().split('\n').slice(-6).join('\n')
}

/** What `postmaster.pid` says of a server on this folder, that may or may not live. */
export interface RunningServer {
  pid: number
  port: number
}

/** The server that runs on the folder, as far as its pid file and the process table tell. */
export async function findRunning({ data }: ServerFolder): Promise<RunningServer | undefined> {
  const file = join(data, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch(() => '')
  const [pid, , , port] = text.split('\n').map(Number)
  if (pid === undefined || !(pid > 0) || !isAlive(pid)) return undefined
  if (await isPostgres(pid)) return { pid, port: port ?? 0 }
  // After a restart of the machine or container another program has the number, and PostgreSQL would wait for it to end.
  await rm(file, { force: true })
  return undefined
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function isPostgres(pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'postgres')
  return name.trim() === 'postgres'
}
