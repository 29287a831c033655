const AT_ONCE = 8

/** The answers of `count` calls, a few of which are under way at once. */
export async function fewAtOnce<T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      answers[index] = await call(index)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, caller))
  return answers
}
