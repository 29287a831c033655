/** The item with the lexicographically largest key; the first of equals. */
export function best<T>(items: readonly T[], keyOf: (item: T) => number[]): T {
  const [first, ...rest] = items.map((item) => ({ item, key: keyOf(item) }))
  if (first === undefined) throw new RangeError('best of nothing')
  return rest.reduce((top, next) => (isLarger(next.key, top.key) ? next : top), first).item
}

function isLarger(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, index) => value !== b[index])
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0)
}
