/** What promises come to, in the order in which they do. All of them are to resolve. */
export async function* asTheyCome<T>(promises: readonly Promise<T>[]): AsyncGenerator<T, void> {
  const waiting = new Map(promises.map((promise, index) => [index, promise.then((value) => ({ index, value }))]))
  while (waiting.size > 0) {
    const { index, value } = await Promise.race(waiting.values())
    waiting.delete(index)
    yield value
  }
}
