import type { CallAt } from './call-at.ts'
import type { Hex } from './hex.ts'
import type { TokenRead } from './read-tokens.ts'

/** How tokens were found: by the contract's own index, its events, a list of the user's, or by trying ids. */
type Strategy = 'enumerable' | 'logs' | 'given' | 'probing' | 'none'

/** What a list of tokens covers. Final once its batches were read to the end. */
export interface Coverage {
  strategy: Strategy
  /** Whether it is every token that the contract tells of. Otherwise their number is a lower bound. */
  isComplete: boolean
  /** Sentences that tell what is missing, and why. */
  gaps: string[]
  /** Where logs were read from, decimal; null when none were. */
  fromBlock: string | null
}

export interface CollectionWanted extends CallAt {
  address: Hex
  standard: 'erc721' | 'erc1155'
  /** Only these tokens. */
  ids?: readonly bigint[]
  /** Where the contract was made, for providers without old state. */
  fromBlock?: bigint
  /** @default 1,000,000 */
  maxTokens?: number
}

/** The tokens of a collection with what each points to, read at one block. */
export interface Enumeration {
  coverage: Coverage
  batches: AsyncIterable<TokenRead[]>
}

export type BoundedCollection = CollectionWanted & { maxTokens: number }
