import type { ReadUri } from '../../catalog/guards-reads.ts'
import { decodeString } from '../../chain/abi-bytes.ts'
import type { TokenRead } from '../../chain/read-tokens.ts'
import { isIdentity, parseCid, toV1 } from '../../core/cid.ts'
import { classifyTokenUri } from '../../core/token-uri/classify.ts'
import type { TokenUri } from '../../core/token-uri/token-uri.ts'

/**
 * What a reading of a token says; undefined when the token could not be looked at, so that nothing is known of it.
 * @param isTemplate of ERC-1155: the id takes the place of `{id}`
 */
export function readUriOf({ id, outcome, returned }: TokenRead, isTemplate: boolean): ReadUri | undefined {
  if (outcome === 'too-long' || outcome === 'not-run' || outcome === 'no-such-index') return undefined
  const uri = outcome === 'read' ? decodeString(returned) : undefined
  return uriRead(id, uri, isTemplate)
}

/** @param uri undefined: it tells none */
export function uriRead(id: bigint, uri: string | undefined, isTemplate: boolean): ReadUri {
  if (uri === undefined) return { tokenId: String(id), uri: null, ...NOTHING }
  const names = classifyTokenUri(uri, isTemplate ? id : undefined)
  const root = rootOf(names)
  return {
    tokenId: String(id),
    uri: Buffer.from(uri),
    root,
    isFolder: names.path !== '',
    hasContent: root !== null || names.verdict === 'ON_CHAIN' || isInline(names),
    isCentralised: names.verdict === 'CENTRALISED',
  }
}

const NOTHING = { root: null, isFolder: false, hasContent: false, isCentralised: false }

/** The root to pin for what a URI names; null when it names nothing by its CID, or the CID holds it. */
export function rootOf(names: TokenUri): Buffer | null {
  const { verdict, cid } = names
  if (cid === null || (verdict !== 'IMMUTABLE' && verdict !== 'IMMUTABLE_VIA_GATEWAY') || isInline(names)) return null
  return Buffer.from(toV1(parseCid(cid)).bytes)
}

function isInline({ verdict, cid }: TokenUri): boolean {
  return verdict.startsWith('IMMUTABLE') && cid !== null && isIdentity(parseCid(cid))
}
