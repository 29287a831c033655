import type { ReadUri } from '../../catalog/guards-reads.ts'
import { decodeString } from '../../chain/abi-bytes.ts'
import type { CollectionWanted } from '../../chain/collection.ts'
import { isUnseen, type TokenRead } from '../../chain/read-tokens.ts'
import { furtherUris, readTokenExtensions, type TokenExtensions } from '../../chain/token-extensions.ts'
import { isIdentity, parseCid, toV1 } from '../../core/cid.ts'
import { classifyTokenUri } from '../../core/token-uri/classify.ts'
import type { TokenUri } from '../../core/token-uri/token-uri.ts'

/**
 * What readings of tokens say; without those of tokens that could not be looked at, of which nothing is known then.
 * @param standards what the contract claims to have: it may say more of its tokens than their URIs
 * @throws RpcFailure
 */
export async function readUrisOf(
  reads: readonly TokenRead[],
  wanted: CollectionWanted,
  standards: readonly string[],
): Promise<ReadUri[]> {
  const seen = reads.filter(({ outcome }) => !isUnseen(outcome))
  const items = seen.map(({ id }) => id)
  const said = await readTokenExtensions(wanted, standards, items)
  return seen.map(({ id, outcome, returned }) => {
    const uri = outcome === 'read' ? decodeString(returned) : undefined
    return uriRead(id, uri, { isTemplate: wanted.standard === 'erc1155', said: said.get(id) })
  })
}

/**
 * @param uri undefined: it tells none, and nothing else counts
 * @param said undefined: it could not be looked at
 * @param isTemplate of ERC-1155: the id takes the place of `{id}`
 */
export function uriRead(
  id: bigint,
  uri: string | undefined,
  { isTemplate, said }: { isTemplate: boolean; said: TokenExtensions | undefined },
): ReadUri {
  if (uri === undefined) return { tokenId: String(id), uri: null, ...NOTHING }
  const others = furtherUris(said ?? {}, uri)
  const names = [uri, ...others].map((one) => classifyTokenUri(one, isTemplate ? id : undefined))
  const [own, ...further] = names.map((name) => ({ cid: rootOf(name), isFolder: name.path !== '' }))
  return {
    tokenId: String(id),
    uri: Buffer.from(uri),
    extensions: said && textOf({ uris: others, ...(said.integrity && { integrity: said.integrity }) }),
    root: own?.cid ?? null,
    isFolder: own?.isFolder ?? false,
    further: further.flatMap(({ cid, isFolder }) => (cid === null ? [] : [{ cid, isFolder }])),
    hasContent: names.some(hasContent),
    isCentralised: names.some(({ verdict }) => verdict === 'CENTRALISED'),
  }
}

/** As it is kept, and compared. */
function textOf({ uris = [], integrity }: TokenExtensions): string | null {
  return uris.length === 0 && integrity === undefined ? null : JSON.stringify({ uris, integrity })
}

/** Of what the contract itself points to nothing else is said. */
export const NO_TOKEN = { isTemplate: false, said: {} }

const NOTHING = {
  extensions: null,
  root: null,
  isFolder: false,
  further: [],
  hasContent: false,
  isCentralised: false,
}

/** The root to pin for what a URI names; null when it names nothing by its CID, or the CID holds it. */
export function rootOf(names: TokenUri): Buffer | null {
  const { verdict, cid } = names
  if (cid === null || (verdict !== 'IMMUTABLE' && verdict !== 'IMMUTABLE_VIA_GATEWAY') || isInline(names)) return null
  return Buffer.from(toV1(parseCid(cid)).bytes)
}

/** Whether a URI leads to bytes that stay the same: on IPFS, or in itself. */
export function hasContent(names: TokenUri): boolean {
  return rootOf(names) !== null || names.verdict === 'ON_CHAIN' || isInline(names)
}

function isInline({ verdict, cid }: TokenUri): boolean {
  return verdict.startsWith('IMMUTABLE') && cid !== null && isIdentity(parseCid(cid))
}
