import type { Contenthash } from '../chain/ens/contenthash.ts'
import type { Ens, EnsAnswer } from '../chain/ens/ens.ts'
import type { Abortable } from '../core/block-source.ts'
import { hasCode } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { parseTarget, type Target } from './target.ts'

const REMEMBERED_ANSWERS = 4_096

/** What a name of ENS pointed to at a block. */
export interface EnsReading {
  /** Number of the block. */
  block: bigint
  content: { target: Target } | { network: ElsewhereNetwork; target?: undefined }
  /** Whether the same block may say something else next time, since something was asked outside of the chain. */
  isOffchain: boolean
}

/** Networks whose content is not served here. */
type ElsewhereNetwork = Exclude<Contenthash['network'], 'ipfs' | 'ipns'>

/** Asks the chain for names of ENS. Whoever composes a process decides whether there is one. */
export interface EnsLookup {
  /**
   * Where a name points to; undefined when it has no content, or none that can be read. Read in the newest block that no
   * reorganisation takes back; with `isNewest` in the newest one.
   * @throws UPSTREAM_FAILED when the chain gave no answer
   */
  (name: string, options: Abortable & { isNewest?: boolean }): Promise<EnsReading | undefined>
}

export function ensLookup(ens: Ens): EnsLookup {
  /** The last answers of final blocks: until the next block is final they hold, and cost no question. */
  const answers = new RecentMap<string, EnsAnswer>(REMEMBERED_ANSWERS)
  return async (name, { signal, isNewest = false }) => {
    const head = isNewest ? ({ head: 'latest' } as const) : { before: answers.get(name) }
    const answer = await answerOf(ens, name, { ...(signal && { signal }), ...head })
    if (answer?.content === undefined) return undefined
    if (!isNewest) answers.set(name, answer)
    return { block: answer.block.number, content: contentOf(answer.content), isOffchain: answer.isOffchain }
  }
}

/** That a name has no resolver, or that it tells nothing, is an answer: what it had before is served no longer. */
async function answerOf(
  ens: Ens,
  name: string,
  options: Parameters<Ens['contenthash']>[1],
): Promise<EnsAnswer | undefined> {
  try {
    return await ens.contenthash(name, options)
  } catch (error) {
    if (hasCode(error, 'NAME_NOT_RESOLVED') || hasCode(error, 'INVALID_NAME')) return undefined
    throw error
  }
}

function contentOf(content: Contenthash): EnsReading['content'] {
  if (content.network === 'ipfs') return { target: { namespace: 'ipfs', root: content.root, segments: [] } }
  if (content.network === 'ipns') return { target: parseTarget(`/ipns/${content.name}`) }
  return { network: content.network }
}
