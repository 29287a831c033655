/** Items in one answer of the API. */
const PAGE = 1_000

type ReadPage<Item> = (query: { after: string; limit: number }) => Promise<Item[]>

/** All items of a list that the API answers in pages, in the order of their names. */
export function everyPage<Item extends { name: string }>(read: ReadPage<Item>): Promise<Item[]> {
  return everyPageBy(({ name }) => name, read)
}

/** {@link everyPage} of a list in the order of something else. */
export async function everyPageBy<Item>(placeOf: (item: Item) => string, read: ReadPage<Item>): Promise<Item[]> {
  const all: Item[] = []
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: Item[] = await read({ after, limit: PAGE })
    all.push(...page)
    const last = page.at(-1)
    after = last === undefined || page.length < PAGE ? undefined : placeOf(last)
  }
  return all
}
