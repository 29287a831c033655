import type { Contenthash } from '../chain/ens/contenthash.ts'
import type { Ens } from '../chain/ens/ens.ts'
import type { Abortable } from '../core/block-source.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { MINUTE_MS } from '../core/units.ts'
import type { DnsLink } from './dnslink.ts'
import { parseTarget, type Target } from './target.ts'

/** Records of ENS have no TTL that anybody sets. */
const ENS_TTL_MS = MINUTE_MS

/** Asks the chain for names of ENS. Whoever composes a process decides whether there is one. */
export interface EnsLookup {
  /**
   * Where a name of ENS points to; undefined when it has no content, or none that can be read.
   * @throws NAME_NOT_RESOLVED when its content is on another network; UPSTREAM_FAILED when the chain gave no answer
   */
  (name: string, options: Abortable): Promise<DnsLink | undefined>
}

export function ensLookup(ens: Ens): EnsLookup {
  return async (name, options) => {
    const content = await contentOf(ens, name, options)
    return content && { target: targetOf(name, content), ttlMs: ENS_TTL_MS, ignored: 0 }
  }
}

/** That a name has no resolver, or that it tells nothing, is an answer: what it had before is served no longer. */
async function contentOf(ens: Ens, name: string, options: Abortable): Promise<Contenthash | undefined> {
  try {
    return (await ens.contenthash(name, options)).content
  } catch (error) {
    if (hasCode(error, 'NAME_NOT_RESOLVED') || hasCode(error, 'INVALID_NAME')) return undefined
    throw error
  }
}

function targetOf(name: string, content: Contenthash): Target {
  if (content.network === 'ipfs') return { namespace: 'ipfs', root: content.root, segments: [] }
  if (content.network === 'ipns') return parseTarget(`/ipns/${content.name}`)
  throw new HoldfastError('NAME_NOT_RESOLVED', `The content of ${name} is on ${content.network}, not on IPFS.`)
}
