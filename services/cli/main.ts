#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { EXIT, type ExitCode } from './exit-codes.ts'

// Reading the types out of the program takes longer than most commands: with this a command starts in a third of the time.
// The folder is the package's own, because code is run from it.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/holdfast'))

const stop = new AbortController()
function stopWith(exitCode: ExitCode): void {
  process.exitCode = exitCode
  stop.abort()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopWith(EXIT.interrupted))
process.stdout.on('error', () => stopWith(EXIT.pipeClosed))

const { runProgram } = await import('./program.ts')
const { stdout, stderr } = process
const surroundings = { stdout, stderr, environment: process.env, signal: stop.signal }
const exitCode = await runProgram(process.argv.slice(2), surroundings)
if (!stop.signal.aborted) process.exitCode = exitCode
