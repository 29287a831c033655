/**
 * Joins calls to batches without making anyone wait for company: a call starts a batch at once while fewer than
 * `concurrency` are under way, and what comes meanwhile joins the next.
 */
export interface Batcher<Item, Answer> {
  /** @throws what `flush` throws for the batch, or what it answers for the item */
  add(item: Item): Promise<Answer>
  /** Items that wait for a batch. */
  waiting(): number
}

export interface BatcherOptions<Item, Answer> {
  /** One answer for each item, in their order; an Error is thrown to that item's caller alone. */
  flush: (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>
  concurrency: number
  batchSize: number
  /** Called when nothing is under way any more. */
  onIdle?: () => void
}

export function createBatcher<Item, Answer>(options: BatcherOptions<Item, Answer>): Batcher<Item, Answer> {
  const queue: Waiting<Item, Answer>[] = []
  let underWay = 0

  async function drain(): Promise<void> {
    underWay++
    while (queue.length > 0) await settle(queue.splice(0, options.batchSize), options.flush)
    underWay--
    if (underWay === 0) options.onIdle?.()
  }

  return {
    add(item) {
      return new Promise((resolve, reject) => {
        queue.push({ item, resolve, reject })
        // Calls of the same turn of the event loop go together.
        if (underWay < options.concurrency) queueMicrotask(startIfNeeded)
      })
    },
    waiting: () => queue.length,
  }

  function startIfNeeded(): void {
    if (queue.length > 0 && underWay < options.concurrency) void drain()
  }
}

interface Waiting<Item, Answer> {
  item: Item
  resolve: (answer: Answer) => void
  reject: (reason: unknown) => void
}

async function settle<Item, Answer>(
  batch: readonly Waiting<Item, Answer>[],
  flush: BatcherOptions<Item, Answer>['flush'],
): Promise<void> {
  try {
    const answers = await flush(batch.map(({ item }) => item))
    for (const [index, { resolve, reject }] of batch.entries()) {
      const answer = answers[index]
      if (answer instanceof Error) reject(answer)
      else resolve(answer as Answer)
    }
  } catch (error) {
    for (const { reject } of batch) reject(error)
  }
}
