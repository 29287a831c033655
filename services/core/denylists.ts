import type { CID } from 'multiformats/cid'
import { decodeCid } from './cid.ts'
import type { Denial, Denylist } from './denylist.ts'
import { HoldfastError } from './errors.ts'
import { RecentMap } from './recent-map.ts'

/**
 * Blocks that are parts of everything, such as the empty file and the empty directory: a list that names one of them
 * would take down half of the network.
 */
const NEVER_DENIED: ReadonlySet<string> = new Set(
  [
    'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn',
    'bafyaabakaieac',
    'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
    'bafkqaaa',
    'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH',
    'bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua',
    'baguqeeraiqjw7i2vwntyuekgvulpp2det2kpwt6cd7tx5ayqybqpmhfk76fa',
  ].map((text) => keyOf(decodeCid(text))),
)

const REMEMBERED_BLOCKS = 20_000

/** CONTENT_DENIED, or CONTENT_DENIED_BY_LAW. */
export function denied({ list, status }: Denial): HoldfastError {
  const code = status === 451 ? 'CONTENT_DENIED_BY_LAW' : 'CONTENT_DENIED'
  return new HoldfastError(code, `This content is on the denylist ${list}.`)
}

/**
 * All lists that are in force. Any of them can deny; an exception counts only within its own list. Answers for blocks
 * are remembered: hashing the names of a block costs more than reading a small one.
 */
export class Denylists {
  readonly #lists: readonly Denylist[]
  readonly #blocks = new RecentMap<string, Denial | null>(REMEMBERED_BLOCKS)

  constructor(lists: readonly Denylist[] = []) {
    this.#lists = lists
  }

  get lists(): readonly Denylist[] {
    return this.#lists
  }

  /** Whether a block, or the content under it, is denied, whatever the path that led to it. */
  block(cid: CID): Denial | undefined {
    if (this.#lists.length === 0) return undefined
    const key = `${cid.code}.${keyOf(cid)}`
    const known = this.#blocks.get(key)
    if (known !== undefined) return known ?? undefined
    const denial = this.content(cid, [])
    this.#blocks.set(key, denial ?? null)
    return denial
  }

  /** Whether a path below a root is denied; the root itself when there are no segments. */
  content(cid: CID, segments: readonly string[]): Denial | undefined {
    if (segments.length === 0 && NEVER_DENIED.has(keyOf(cid))) return undefined
    return this.#first((list) => list.content(cid, segments))
  }

  /** Whether an IPNS name or a domain is denied, or a path below it. */
  name(name: string, segments: readonly string[]): Denial | undefined {
    return this.#first((list) => list.named(name, segments))
  }

  #first(ask: (list: Denylist) => Denial | undefined): Denial | undefined {
    for (const list of this.#lists) {
      const denial = ask(list)
      if (denial !== undefined) return denial
    }
    return undefined
  }
}

function keyOf({ multihash: { bytes } }: CID): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
