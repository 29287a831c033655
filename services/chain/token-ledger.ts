import { TOPICS } from '../../contracts-abi/index.ts'
import { bytesOfHex } from './hex.ts'
import type { Log } from './read-logs.ts'

/** Ids from `from` to `to`, both included. */
export interface IdRange {
  from: bigint
  to: bigint
}

interface Change extends IdRange {
  exists: boolean
  /** Place among all changes: later ones count. */
  at: number
}

/** What a contract's logs say of each of its tokens. */
interface Token {
  exists: boolean
  at: number
  /** Of ERC-1155: what was made less what was burned. */
  supply: bigint
}

/** Topics that tell of tokens. */
export const LEDGER_TOPICS = [
  TOPICS['Transfer(address,address,uint256)'],
  TOPICS['ConsecutiveTransfer(uint256,uint256,address,address)'],
  TOPICS['TransferSingle(address,address,address,uint256,uint256)'],
  TOPICS['TransferBatch(address,address,address,uint256[],uint256[])'],
  TOPICS['URI(string,uint256)'],
] as const

const WORD = 32
/** Ranges that are kept; each is one event of ERC-2309, and contracts make few. */
const MOST_RANGES = 4_096

/**
 * Which tokens exist after a contract's events, in their order. A range of ERC-2309 stays a range however large it is; what
 * is remembered of single tokens ends at `mostTokens`.
 */
export class TokenLedger {
  readonly #mostTokens: number
  readonly #tokens = new Map<bigint, Token>()
  readonly #ranges: Change[] = []
  #changes = 0
  /** Some events told of more tokens than are remembered, or could not be read. */
  isCut = false

  constructor(mostTokens: number) {
    this.#mostTokens = mostTokens
  }

  add({ topics, data }: Log): void {
    const words = topics.slice(1).map(BigInt)
    const [first = 0n, second = 0n, third = 0n] = words
    switch (topics[0] ?? '') {
      case TOPICS['Transfer(address,address,uint256)']:
        // With three topics it is ERC-20's.
        if (words.length === 3) this.#set(third, second !== 0n)
        return
      case TOPICS['ConsecutiveTransfer(uint256,uint256,address,address)']:
        this.#setRange({ from: first, to: wordsOf(data)[0] ?? -1n }, third !== 0n)
        return
      case TOPICS['TransferSingle(address,address,address,uint256,uint256)']: {
        const [id, value] = wordsOf(data)
        this.#move(id, value, { from: second, to: third })
        return
      }
      case TOPICS['TransferBatch(address,address,address,uint256[],uint256[])']: {
        const [ids, values] = arraysOf(data)
        if (ids === undefined || values === undefined) this.isCut = true
        for (const [index, id] of (ids ?? []).entries()) this.#move(id, values?.[index], { from: second, to: third })
        return
      }
      case TOPICS['URI(string,uint256)']:
        this.#see(first)
        return
      default:
      // A filter is the provider's word; what it lets through beside it is nobody's.
    }
  }

  #set(id: bigint, exists: boolean): void {
    const token = this.#see(id)
    if (token === undefined) return
    token.exists = exists
    token.at = this.#changes++
  }

  #move(id: bigint | undefined, value: bigint | undefined, { from, to }: IdRange): void {
    const token = id === undefined ? undefined : this.#see(id)
    if (token === undefined || value === undefined) {
      this.isCut = true
      return
    }
    if (from === 0n) token.supply += value
    if (to === 0n) token.supply -= value
    token.exists = to !== 0n || token.supply > 0n
    token.at = this.#changes++
  }

  /** The token, remembered from now on; undefined when there are too many. */
  #see(id: bigint): Token | undefined {
    const known = this.#tokens.get(id)
    if (known !== undefined) return known
    if (this.#tokens.size >= this.#mostTokens) {
      this.isCut = true
      return undefined
    }
    const token = { exists: true, at: this.#changes++, supply: 0n }
    this.#tokens.set(id, token)
    return token
  }

  #setRange({ from, to }: IdRange, exists: boolean): void {
    if (to < from || this.#ranges.length >= MOST_RANGES) {
      this.isCut = true
      return
    }
    this.#ranges.push({ from, to, exists, at: this.#changes++ })
  }

  /** Ids that exist, ascending, at most as many as are wanted. */
  ids(most: number): bigint[] {
    const singles = [...this.#tokens].sort(([a], [b]) => (a < b ? -1 : 1))
    const found: bigint[] = []
    let next = 0
    for (const range of flattened(this.#ranges)) {
      while (next < singles.length && (singles[next]?.[0] as bigint) < range.from) pushAlive(singles[next++], found)
      for (let id = range.from; id <= range.to && found.length <= most; id++) {
        const single = singles[next]?.[0] === id ? singles[next++]?.[1] : undefined
        const isLater = single !== undefined && single.at > range.at
        if (isLater ? single.exists : range.exists) found.push(id)
      }
    }
    for (const single of singles.slice(next)) pushAlive(single, found)
    if (found.length > most) this.isCut = true
    return found.slice(0, most)
  }
}

function pushAlive(single: [bigint, Token] | undefined, found: bigint[]): void {
  if (single?.[1].exists === true) found.push(single[0])
}

/** The ranges without overlaps, ascending: of several the latest counts. Few overlap in contracts that mean well. */
function flattened(ranges: readonly Change[]): Change[] {
  let flat: Change[] = []
  let highest = -1n
  for (const range of ranges) {
    if (range.from > highest) flat.push(range)
    else flat = [...flat.flatMap((other) => without(other, range)), range]
    highest = larger(highest, range.to)
  }
  return flat.sort((a, b) => (a.from < b.from ? -1 : 1))
}

/** What is left of a range beside a later one. */
function without(range: Change, later: IdRange): Change[] {
  return [
    ...(range.from < later.from ? [{ ...range, to: smaller(range.to, later.from - 1n) }] : []),
    ...(range.to > later.to ? [{ ...range, from: larger(range.from, later.to + 1n) }] : []),
  ]
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** The whole words of hex data. */
export function wordsOf(data: string): bigint[] {
  const bytes = bytesOfHex(data) ?? Buffer.alloc(0)
  return Array.from({ length: Math.floor(bytes.length / WORD) }, (_, index) => wordAt(bytes, index * WORD))
}

function wordAt(bytes: Buffer, at: number): bigint {
  return BigInt(`0x${bytes.toString('hex', at, at + WORD)}`)
}

/** Two arrays of words; undefined where one does not fit in the data. */
export function arraysOf(data: string): (bigint[] | undefined)[] {
  const words = wordsOf(data)
  return words.slice(0, 2).map((offset) => {
    if (offset % 32n !== 0n || offset / 32n >= BigInt(words.length)) return undefined
    const start = Number(offset / 32n)
    const length = words[start] as bigint
    return length > BigInt(words.length - start - 1) ? undefined : words.slice(start + 1, start + 1 + Number(length))
  })
}
