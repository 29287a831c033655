/** One figure: what was measured, what it is held against in the same run, and whether it is good enough. */
export interface Row {
  what: string
  measured: string
  /** The limit or peer that was measured in the same run, or `` for figures that are absolute. */
  against: string
  /** Measured in units of the limit or peer. */
  ratio: number | undefined
  target: string
  isMet: boolean
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The value below which that share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

export function printRows(title: string, rows: readonly Row[]): void {
  const cells = rows.map(({ what, measured, against, ratio, target, isMet }) => [
    what,
    measured,
    against,
    ratio === undefined ? '' : ratio.toFixed(2),
    target,
    isMet ? 'met' : 'MISSED',
  ])
  const lines = [['what', 'measured', 'against, same run', 'ratio', 'target', ''], ...cells]
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  process.stdout.write(`\n${title}\n`)
  for (const line of lines) {
    process.stdout.write(
      `  ${line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
  }
}
