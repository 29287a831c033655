/** Items in one answer of the API. */
const PAGE = 1_000

/** All items of a list that the API answers in pages, in the order of their names. */
export async function everyPage<Item extends { name: string }>(
  read: (query: { after: string; limit: number }) => Promise<Item[]>,
): Promise<Item[]> {
  const all: Item[] = []
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: Item[] = await read({ after, limit: PAGE })
    all.push(...page)
    after = page.length < PAGE ? undefined : page.at(-1)?.name
  }
  return all
}
