/**
 * `created` is the page key of the Pinning Service API, so no two pins of a tenant have the same. Many clients cut it to
 * milliseconds, so pins get a millisecond each, ahead of the clock when they come faster than that; far ahead, they
 * come closer together, ten to a millisecond and in the end one a microsecond.
 */
const PACES: readonly { aheadUs: bigint; stepUs: bigint }[] = [
  { aheadUs: 1_000_000n, stepUs: 1_000n },
  { aheadUs: 10_000_000n, stepUs: 100n },
]

/** The next `count` moments after `last`, none before `now`; all in microseconds since 1970. */
export function nextMoments(last: bigint, now: bigint, count: number): bigint[] {
  const moments: bigint[] = []
  let previous = last
  for (let index = 0; index < count; index++) {
    const next = previous + stepAfter(previous - now)
    previous = next > now ? next : now
    moments.push(previous)
  }
  return moments
}

function stepAfter(aheadUs: bigint): bigint {
  return PACES.find((pace) => aheadUs < pace.aheadUs)?.stepUs ?? 1n
}

/** Microseconds since 1970 as RFC 3339 with six decimals, UTC. */
export function momentText(us: bigint): string {
  const milliseconds = new Date(Number(us / 1_000n)).toISOString().slice(0, -1)
  return `${milliseconds}${String(us % 1_000n).padStart(3, '0')}Z`
}
