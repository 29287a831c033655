import { createHash } from 'node:crypto'
import { decodeString } from '../chain/abi-bytes.ts'
import type { TokenRead } from '../chain/read-tokens.ts'
import type { Pointer } from '../core/collection-report/finding.ts'
import { MOST_SHOWN, withoutSecrets } from '../core/collection-report/shown-uri.ts'
import { classifyTokenUri } from '../core/token-uri/classify.ts'

/** What a token points to, and the URI itself; undefined when it tells none. */
export interface ReadPointer {
  pointer: Pointer
  uri: string | undefined
}

/** @param isTemplate of ERC-1155: the id takes the place of `{id}` */
export function pointerOf({ id, outcome, returned }: TokenRead, isTemplate: boolean): ReadPointer {
  const uri = outcome === 'read' ? decodeString(returned) : undefined
  if (uri === undefined) return { pointer: unread(id, outcome === 'read' ? 'no-text' : outcome), uri }
  const { kind, verdict, cid, path, name } = classifyTokenUri(uri, isTemplate ? id : undefined)
  return {
    uri,
    pointer: {
      id: String(id),
      outcome,
      uri: uri.length > MOST_SHOWN ? null : withoutSecrets(uri),
      uriBytes: Buffer.byteLength(uri),
      uriSha256: createHash('sha256').update(uri).digest('hex'),
      kind,
      verdict,
      cid,
      path,
      name: name ?? null,
    },
  }
}

function unread(id: bigint, outcome: string): Pointer {
  const nothing = {
    uri: null,
    uriBytes: 0,
    uriSha256: null,
    kind: null,
    verdict: null,
    cid: null,
    path: null,
    name: null,
  }
  return { id: String(id), outcome, ...nothing }
}
