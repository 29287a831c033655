import { setTimeout as delay } from 'node:timers/promises'

export interface HedgedOptions<Candidate> {
  /** How long a candidate is waited for before the next is tried as well, in milliseconds. */
  patienceMs: (candidate: Candidate) => number
  signal: AbortSignal
}

/**
 * The first result that one of the candidates gives. The next one is tried when one gives none, or is out of patience and
 * goes on beside it. Attempts that are not wanted any more see their signal aborted.
 * @param attempt never rejects; resolves to undefined when there is none
 * @returns undefined when no candidate gives one, or the signal is aborted
 */
export async function hedged<Candidate, Result>(
  candidates: AsyncGenerator<Candidate>,
  attempt: (candidate: Candidate, signal: AbortSignal) => Promise<Result | undefined>,
  { patienceMs, signal }: HedgedOptions<Candidate>,
): Promise<Result | undefined> {
  const enough = new AbortController()
  const either = AbortSignal.any([signal, enough.signal])
  const found = Promise.withResolvers<Result>()
  const tryOne = async (candidate: Candidate): Promise<void> => {
    const result = await attempt(candidate, either)
    if (result !== undefined) found.resolve(result)
  }
  const tryAll = async (): Promise<undefined> => {
    const attempts: Promise<void>[] = []
    for await (const candidate of candidates) {
      if (either.aborted) return
      const attempted = tryOne(candidate)
      attempts.push(attempted)
      await Promise.race([attempted, patience(patienceMs(candidate), either)])
    }
    await Promise.all(attempts)
  }
  try {
    return await Promise.race([found.promise, tryAll()])
  } finally {
    enough.abort()
    void candidates.return(undefined)
  }
}

async function patience(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined)
}
