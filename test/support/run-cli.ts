import { runProgram } from '../../services/cli/program.ts'

export interface Ran {
  exitCode: number
  stdout: string
  stderr: string
}

/** Runs the command line in this process, as in a shell where standard output is a pipe, with nothing in its environment. */
export async function runCli(
  words: readonly string[],
  {
    environment = {},
    signal = new AbortController().signal,
    isTTY = false,
    heard,
  }: {
    environment?: Record<string, string>
    signal?: AbortSignal
    isTTY?: boolean
    /** Called with what is written to standard error, as it happens. */
    heard?: (text: string) => void
  } = {},
): Promise<Ran> {
  const stdout = capture(isTTY)
  const stderr = capture(isTTY, heard)
  const surroundings = { environment: { HOLDFAST_DATA: '/nonexistent', ...environment }, signal }
  const exitCode = await runProgram(words, { stdout, stderr, ...surroundings })
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() }
}

function capture(
  isTTY: boolean,
  heard?: (text: string) => void,
): { write(text: string): void; isTTY: boolean; text: () => string } {
  let written = ''
  const write = (text: string): void => {
    written += text
    heard?.(text)
  }
  return { isTTY, write, text: () => written }
}
