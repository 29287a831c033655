import { getBytes, keccak256 } from 'ethers'
import type { Hex } from '../hex.ts'
import type { Log } from '../read-logs.ts'

const BITS = 2_048
/** The most often that a filter may say yes to addresses that it was not given, to be evidence. */
const MOST_BY_CHANCE = 0.05

/**
 * Whether a block's filter is evidence that it has logs of one of these addresses with one of these topics. A filter says
 * yes to what it was not given, the more often the fuller it is: one that is full is no evidence of anything.
 * Yellow paper, section 4.3.1.
 */
export function tellsOf(bloom: Buffer, addresses: readonly Hex[], topics: readonly Hex[]): boolean {
  let set = 0
  for (const byte of bloom) for (let bits = byte; bits !== 0; bits &= bits - 1) set += 1
  if (addresses.length * (set / BITS) ** 3 > MOST_BY_CHANCE) return false
  return topics.some((topic) => has(bloom, topic)) && addresses.some((address) => has(bloom, address))
}

/** Whether a block has no logs of these addresses with these topics, by its filter: it never says no to what it was given. */
export function rulesOut(bloom: Buffer, addresses: readonly Hex[], topics: readonly Hex[]): boolean {
  return !topics.some((topic) => has(bloom, topic)) || !addresses.some((address) => has(bloom, address))
}

/** Whether a block's filter tells of a log that the block has. */
export function tellsOfLog(bloom: Buffer, { address, topics }: Pick<Log, 'address' | 'topics'>): boolean {
  return has(bloom, address) && topics.every((topic) => has(bloom, topic))
}

function has(bloom: Buffer, value: string): boolean {
  const digest = getBytes(keccak256(value))
  return [0, 2, 4].every((place) => {
    const bit = (((digest[place] ?? 0) << 8) | (digest[place + 1] ?? 0)) % BITS
    return ((bloom[bloom.length - 1 - (bit >> 3)] ?? 0) & (1 << (bit & 7))) !== 0
  })
}
