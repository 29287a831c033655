#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { EXIT } from './exit-codes.ts'

// Reading the types out of the program takes longer than most commands: with this a command starts in a third of the time.
// The folder is the package's own, because code is run from it.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/holdfast'))

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(EXIT.interrupted))
process.stdout.on('error', () => stop.abort(EXIT.pipeClosed))

const { runProgram } = await import('./program.ts')
const { stdout, stderr } = process
const surroundings = { stdout, stderr, environment: process.env, signal: stop.signal }
const exitCode = await runProgram(process.argv.slice(2), surroundings)
process.exitCode = stop.signal.aborted ? (stop.signal.reason as number) : exitCode
