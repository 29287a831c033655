import { DAY_MS, MINUTE_MS, SECOND_MS } from '../units.ts'
import type { ProofProblem } from './check-proof.ts'
import type { ProofFile } from './proof-file.ts'

/** How far clocks may be apart: that of a service, and those of whoever makes blocks. */
export const CLOCK_SECONDS = (2 * MINUTE_MS) / SECOND_MS

/**
 * How much older than an answer the block of its seed may be. Whoever knows a seed can answer beforehand and lose the
 * blocks, so this is what `checkedAt` may be off by. Finalised blocks are a quarter of an hour old on Ethereum, and some
 * hours where a rollup waits for it; reading 10,000 roots may take a slow node hours too.
 */
export const MOST_SEED_AGE_SECONDS = DAY_MS / SECOND_MS

/** What is wrong with the times of statements, by the time of the block that their seed is from (seconds since 1970). */
export function seedTimeProblems({ statements }: ProofFile, blockTime: number): ProofProblem[] {
  return statements.flatMap(({ cid, checkedAt }): ProofProblem[] => {
    const age = checkedAt - blockTime
    if (age < -CLOCK_SECONDS) {
      return [{ cid, problem: `it says that it was checked ${-age} s before the block of its challenge was there` }]
    }
    if (age <= MOST_SEED_AGE_SECONDS) return []
    const hours = Math.floor(age / 3_600)
    return [{ cid, problem: `the block of its challenge was known ${hours} h before it was checked` }]
  })
}
