#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { clusterCommands } from './cluster.ts'
import { ApiClient } from './client.ts'
import type { Command, Invocation } from './command.ts'
import { findConnection } from './connection.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { get } from './get.ts'
import { pinCommands } from './pins.ts'
import { up } from './up.ts'

const COMMANDS: readonly Command[] = [up, ...pinCommands, get, ...clusterCommands]

/** Options that every command takes. */
const GLOBAL_OPTIONS = {
  url: { type: 'string' },
  token: { type: 'string' },
  gateway: { type: 'string' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  help: { type: 'boolean', short: 'h' },
} as const

async function main(words: string[], signal: AbortSignal): Promise<void> {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, index) => words[index] === word))
  if (command === undefined) return refuse(words)
  const { values, positionals } = parse(command, words.slice(command.name.split(' ').length))
  if (values['help'] === true) return void process.stdout.write(`${helpOf(command)}\n`)
  await command.run(invocationOf(values, positionals, signal))
}

function parse(command: Command, args: string[]): { values: Invocation['flags']; positionals: string[] } {
  try {
    const options = { ...GLOBAL_OPTIONS, ...command.options }
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true })
    return { values, positionals }
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${(cause as Error).message}\n${helpOf(command)}`, { cause })
  }
}

function invocationOf(flags: Invocation['flags'], operands: string[], signal: AbortSignal): Invocation {
  const [url, token, gateway] = (['url', 'token', 'gateway'] as const).map((name) => flags[name] as string | undefined)
  const { stdout, stderr } = process
  return {
    operands,
    flags,
    signal,
    output: { json: flags['json'] === true, quiet: flags['quiet'] === true, stdout, stderr },
    connect: async () => {
      const connection = await findConnection({ url, token, gateway }, process.env)
      return { connection, client: new ApiClient(connection) }
    },
  }
}

function refuse(words: readonly string[]): void {
  const asked = words.length === 0 || ['help', '--help', '-h'].includes(words[0] ?? '')
  if (asked) return void process.stdout.write(`${overview()}\n`)
  throw new CommandError(EXIT.usage, `There is no command \`${words.slice(0, 2).join(' ')}\`.\n\n${overview()}`)
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name, operands }) => `${name} ${operands}`.length))
  const lines = COMMANDS.map(({ name, operands, summary }) => `  ${`${name} ${operands}`.padEnd(width)}  ${summary}`)
  return [
    'usage: holdfast <command> [--json] [--quiet] [--url …] [--token …] [--gateway …]',
    '',
    ...lines,
    '',
    'Without --url and --token: HOLDFAST_URL and HOLDFAST_TOKEN, else the local cluster of this folder.',
  ].join('\n')
}

function helpOf({ name, operands, summary, options = {} }: Command): string {
  const flags = Object.entries(options).map(([flag, { type }]) => `[--${flag}${type === 'string' ? ' …' : ''}]`)
  return `usage: holdfast ${[name, operands, ...flags].filter((part) => part !== '').join(' ')}\n${summary}`
}

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
try {
  await main(process.argv.slice(2), stop.signal)
} catch (error) {
  if (stop.signal.aborted) process.exitCode = EXIT.interrupted
  else {
    process.stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof CommandError ? error.exitCode : EXIT.failure
  }
}
