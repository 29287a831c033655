/** The candidate that is the fewest typing mistakes away from what was typed; undefined when none is close. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let fewest = Math.max(2, Math.floor(typed.length / 3)) + 1
  for (const candidate of candidates) {
    const mistakes = editDistance(typed, candidate)
    if (mistakes >= fewest) continue
    fewest = mistakes
    best = candidate
  }
  return best
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let line = 1; line <= from.length; line++) {
    const next = [line]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] as number) + (from[line - 1] === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1))
    }
    row = next
  }
  return row.at(-1) as number
}
