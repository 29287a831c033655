/** Asks once for all who want to know within so many milliseconds; a failure is not remembered. */
export function remembered<T>(ageMs: number, ask: () => Promise<T>): () => Promise<T> {
  let known: { at: number; answer: Promise<T> } | undefined
  return () => {
    if (known !== undefined && performance.now() - known.at < ageMs) return known.answer
    const mine = { at: performance.now(), answer: ask() }
    known = mine
    mine.answer.catch(() => {
      if (known === mine) known = undefined
    })
    return mine.answer
  }
}
