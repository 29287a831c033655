import { TOPICS } from '../../../contracts-abi/index.ts'
import type { Log } from '../read-logs.ts'
import { arraysOf, wordsOf, type IdRange } from '../token-ledger.ts'

/** What an event says of a contract's tokens: what they point to may have changed. */
export interface TokenTouch {
  /** Undefined: any token. */
  ids: IdRange | undefined
  /** The code was replaced. */
  isUpgrade: boolean
}

/** The contract itself, among ids of tokens. */
export const CONTRACT_ITSELF = -1n

/** Topics of events that may change what tokens point to: made, burned, pointed elsewhere, or ruled by other code. */
export const TOUCHING_TOPICS = [
  TOPICS['Transfer(address,address,uint256)'],
  TOPICS['ConsecutiveTransfer(uint256,uint256,address,address)'],
  TOPICS['TransferSingle(address,address,address,uint256,uint256)'],
  TOPICS['TransferBatch(address,address,address,uint256[],uint256[])'],
  TOPICS['URI(string,uint256)'],
  TOPICS['MetadataUpdate(uint256)'],
  TOPICS['BatchMetadataUpdate(uint256,uint256)'],
  TOPICS['MetadataUpdates(string)'],
  TOPICS['TokenUriPinned(uint256,uint256)'],
  TOPICS['TokenUriUnpinned(uint256)'],
  TOPICS['TokenURIUpdated(uint256,address,string)'],
  TOPICS['PermanentURI(string,uint256)'],
  TOPICS['ContractURIUpdated()'],
  TOPICS['Upgraded(address)'],
  TOPICS['BeaconUpgraded(address)'],
] as const

/** Ids that one event may name; an event of more is taken for one of all tokens, and its range is never walked. */
const MOST_IDS = 10_000n

const ALL: TokenTouch = { ids: undefined, isUpgrade: false }

/** What a log touches; nothing when a token only went from one owner to another. */
export function touchesOf({ topics, data }: Log): TokenTouch[] {
  const [first = 0n, second = 0n, third = 0n] = topics.slice(1).map(BigInt)
  const isMove = first !== 0n && second !== 0n
  switch (topics[0] ?? '') {
    case TOPICS['Transfer(address,address,uint256)']:
      // With three topics it is ERC-20's.
      return topics.length === 4 && !isMove ? one(third) : []
    case TOPICS['ConsecutiveTransfer(uint256,uint256,address,address)']:
      return second !== 0n && third !== 0n ? [] : range(first, wordsOf(data)[0])
    case TOPICS['TransferSingle(address,address,address,uint256,uint256)']:
      return second !== 0n && third !== 0n ? [] : one(wordsOf(data)[0])
    case TOPICS['TransferBatch(address,address,address,uint256[],uint256[])']:
      return second !== 0n && third !== 0n ? [] : several(arraysOf(data)[0])
    case TOPICS['URI(string,uint256)']:
    case TOPICS['PermanentURI(string,uint256)']:
    case TOPICS['TokenUriPinned(uint256,uint256)']:
    case TOPICS['TokenUriUnpinned(uint256)']:
    case TOPICS['TokenURIUpdated(uint256,address,string)']:
      return one(topics.length > 1 ? first : undefined)
    case TOPICS['MetadataUpdate(uint256)']:
      return one(topics.length > 1 ? first : wordsOf(data)[0])
    case TOPICS['BatchMetadataUpdate(uint256,uint256)']: {
      const [from, to] = [...topics.slice(1).map(BigInt), ...wordsOf(data)]
      return range(from, to)
    }
    case TOPICS['ContractURIUpdated()']:
      return one(CONTRACT_ITSELF)
    case TOPICS['Upgraded(address)']:
    case TOPICS['BeaconUpgraded(address)']:
      return [{ ids: undefined, isUpgrade: true }]
    default:
      // Of one whose logs are more than providers answer, too.
      return [ALL]
  }
}

function one(id: bigint | undefined): TokenTouch[] {
  return id === undefined ? [ALL] : [{ ids: { from: id, to: id }, isUpgrade: false }]
}

function range(from: bigint | undefined, to: bigint | undefined): TokenTouch[] {
  if (from === undefined || to === undefined || to < from || to - from >= MOST_IDS) return [ALL]
  return [{ ids: { from, to }, isUpgrade: false }]
}

function several(ids: readonly bigint[] | undefined): TokenTouch[] {
  return ids === undefined || ids.length > MOST_IDS ? [ALL] : ids.flatMap(one)
}
