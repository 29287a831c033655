import { ApiClient } from './client.ts'
import { textFlag, type Command, type Flags, type Invocation } from './command.ts'
import { COMMANDS } from './commands.ts'
import { findConnection, knownService } from './connection.ts'
import { EXIT, exitCodeOf, type ExitCode } from './exit-codes.ts'
import { helpOf, overview } from './help.ts'
import type { Terminal } from './output.ts'
import { parseWords } from './parse-words.ts'

/** What the program has of its process. */
export interface Surroundings {
  stdout: Terminal
  stderr: Terminal
  environment: Readonly<Record<string, string | undefined>>
  signal: AbortSignal
}

/** Runs the command that the words say. A failure becomes one sentence on standard error and an exit code. */
export async function runProgram(words: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const { stdout, stderr, signal } = surroundings
  try {
    const parsed = parseWords(words, COMMANDS)
    if (parsed.command === undefined) stdout.write(`${helpText(parsed.helpAbout)}\n`)
    else await parsed.command.run(invocationOf(parsed.flags, parsed.operands, surroundings))
    return EXIT.ok
  } catch (error) {
    if (!signal.aborted) stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`)
    return exitCodeOf(error)
  }
}

function helpText(commands: readonly Command[]): string {
  const [only, ...others] = commands
  return only !== undefined && others.length === 0 ? helpOf(only) : overview(commands)
}

function invocationOf(
  flags: Flags,
  operands: string[],
  { stdout, stderr, environment, signal }: Surroundings,
): Invocation {
  const [url, token, gateway] = ['url', 'token', 'gateway'].map((name) => textFlag(flags, name))
  const connection = () => findConnection({ url, token, gateway }, environment)
  return {
    operands,
    flags,
    signal,
    output: { json: flags['json'] === true, quiet: flags['quiet'] === true, stdout, stderr },
    api: async () => new ApiClient(knownService(await connection())),
    gateways: async () => (await connection()).gateways,
  }
}
