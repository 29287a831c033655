/** What form a URI has. `-gateway`: the same thing, written as the address of one server that passes it on. */
export type Kind =
  | 'ipfs'
  | 'ipfs-gateway'
  | 'ipns'
  | 'ipns-gateway'
  | 'dnslink'
  | 'ens'
  | 'data'
  | 'inline'
  | 'arweave'
  | 'chain'
  | 'http'
  | 'other'
  | 'empty'
  | 'invalid'

/** What the form alone says about how lasting the content is, before anything is fetched. */
export type Verdict =
  | 'IMMUTABLE'
  | 'IMMUTABLE_VIA_GATEWAY'
  /** A name decides, and its owner can change what it stands for. */
  | 'MUTABLE'
  | 'ON_CHAIN'
  /** A contract must be asked first. */
  | 'INDIRECT'
  | 'OTHER_NETWORK'
  /** One server's word. */
  | 'CENTRALISED'
  /** Well-formed, but nothing that we can keep or check. */
  | 'UNSUPPORTED'
  /** Must not be followed: a weak hash, a path that leaves its root, an address that is not public, a scheme that runs code. */
  | 'UNSAFE'
  | 'INVALID'
  | 'EMPTY'

/** What the URI of a token, or a link in its metadata, says. */
export interface TokenUri {
  readonly kind: Kind
  readonly verdict: Verdict
  /** Version 1 in base32; null when no content is named by its CID. */
  readonly cid: string | null
  /** The way down from what `cid` or `name` names: decoded, no slash at either end; empty when it is unsafe. */
  readonly path: string
  /** The key (`k51…`), the domain or the ENS name that decides. */
  readonly name?: string
  /** `path` with what follows a bare `#`, when there is one: what was meant if a file name has it. Never unsafe. */
  readonly literalPath?: string
  /** Content that stands in the URI itself. */
  readonly content?: { mediaType: string; sizeBytes: number }
}

/** A URI that names nothing by a CID or a name. */
export function plainUri(kind: Kind, verdict: Verdict): TokenUri {
  return { kind, verdict, cid: null, path: '' }
}

export const INVALID: TokenUri = Object.freeze(plainUri('invalid', 'INVALID'))
