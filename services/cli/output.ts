import { columnsOf, plain } from './terminal-text.ts'

/** What a command writes to: a stream of the process, or a test's. */
export interface Terminal {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** Data goes to standard output, everything about the work to standard error, so that pipes get data only. */
export interface Output {
  json: boolean
  quiet: boolean
  stdout: Terminal
  stderr: Terminal
}

/** One line of JSON with `--json`, else the text that `asText` makes of it; nothing when that is empty. */
export function print<T>(output: Output, value: T, asText: (value: T) => string): void {
  const text = output.json ? JSON.stringify(value) : asText(value)
  if (text !== '') output.stdout.write(`${text}\n`)
}

/** A sentence that helps a person; scripts (`--quiet`, `--json`) do without. */
export function note(output: Output, sentence: string): void {
  if (!output.quiet && !output.json) output.stderr.write(`${sentence}\n`)
}

/** A sentence that nobody should miss. */
export function warn(output: Output, sentence: string): void {
  output.stderr.write(`${sentence}\n`)
}

/**
 * Rows for a person: aligned under headings. Rows for a program, when standard output is no terminal: cells with a tab
 * between them, without headings.
 */
export function table(output: Output, headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(plain))
  if (output.stdout.isTTY !== true) return cells.map((row) => row.join('\t')).join('\n')
  return rows.length === 0 ? '' : aligned([headings, ...cells])
}

/** Columns as wide as their widest cell. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const line of lines) {
    for (const [column, cell] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, columnsOf(cell))
  }
  const padded = (cell: string, column: number): string => cell + ' '.repeat((widths[column] ?? 0) - columnsOf(cell))
  return lines.map((line) => line.map(padded).join('  ').trimEnd()).join('\n')
}
