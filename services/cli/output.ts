/** Data goes to standard output, everything about the work to standard error, so that pipes get data only. */
export interface Output {
  json: boolean
  quiet: boolean
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
}

/** One document with `--json`, else the text that `asText` makes of it. */
export function print<T>(output: Output, value: T, asText: (value: T) => string): void {
  const text = output.json ? JSON.stringify(value, null, 2) : asText(value)
  if (text !== '') output.stdout.write(`${text}\n`)
}

/** A sentence about the work. */
export function note(output: Output, sentence: string): void {
  if (!output.quiet && !output.json) output.stderr.write(`${sentence}\n`)
}

/** Columns as wide as their widest cell; characters of East Asia count as two. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const lines = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ''))))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}]|[\u{20000}-\u{3fffd}]/u

function width(text: string): number {
  let columns = 0
  for (const character of text) columns += WIDE.test(character) ? 2 : 1
  return columns
}
