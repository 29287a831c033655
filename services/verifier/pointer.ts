import { createHash } from 'node:crypto'
import { decodeString } from '../chain/abi-bytes.ts'
import type { TokenRead } from '../chain/read-tokens.ts'
import { furtherUris, type TokenExtensions } from '../chain/token-extensions.ts'
import type { PointedUri, Pointer } from '../core/collection-report/finding.ts'
import { MOST_SHOWN, withoutSecrets } from '../core/collection-report/shown-uri.ts'
import { classifyTokenUri } from '../core/token-uri/classify.ts'

/** What a token points to, and the URIs themselves. */
export interface ReadPointer {
  pointer: Pointer
  /** Undefined when the token tells none. */
  uri: string | undefined
  extensions: TokenExtensions
}

/** @param isTemplate of ERC-1155: the id takes the place of `{id}` */
export function pointerOf(
  { id, outcome, returned }: TokenRead,
  said: TokenExtensions,
  isTemplate: boolean,
): ReadPointer {
  const uri = outcome === 'read' ? decodeString(returned) : undefined
  const substituted = isTemplate ? id : undefined
  const { integrity } = said
  const others = furtherUris(said, uri)
  return {
    uri,
    extensions: { ...(others.length > 0 && { uris: others }), ...(integrity && { integrity }) },
    pointer: {
      id: String(id),
      outcome: outcome === 'read' && uri === undefined ? 'no-text' : outcome,
      ...(uri === undefined ? NOWHERE : pointedBy(uri, substituted)),
      others: others.map((other) => pointedBy(other, substituted)),
      integrity: integrity ?? null,
    },
  }
}

const NOWHERE: PointedUri = {
  uri: null,
  uriBytes: 0,
  uriSha256: null,
  kind: null,
  verdict: null,
  cid: null,
  path: null,
  name: null,
}

function pointedBy(uri: string, substituted: bigint | undefined): PointedUri {
  const { kind, verdict, cid, path, name } = classifyTokenUri(uri, substituted)
  return {
    uri: uri.length > MOST_SHOWN ? null : withoutSecrets(uri),
    uriBytes: Buffer.byteLength(uri),
    uriSha256: createHash('sha256').update(uri).digest('hex'),
    kind,
    verdict,
    cid,
    path,
    name: name ?? null,
  }
}
