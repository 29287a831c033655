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
  }: { environment?: Record<string, string>; signal?: AbortSignal; isTTY?: boolean } = {},
): Promise<Ran> {
  const stdout = capture(isTTY)
  const stderr = capture(isTTY)
  const surroundings = { environment: { HOLDFAST_DATA: '/nonexistent', ...environment }, signal }
  const exitCode = await runProgram(words, { stdout, stderr, ...surroundings })
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() }
}

function capture(isTTY: boolean): { write(text: string): void; isTTY: boolean; text: () => string } {
  let written = ''
  return { isTTY, write: (text) => void (written += text), text: () => written }
}
