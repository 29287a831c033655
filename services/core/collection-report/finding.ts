import type { TokenVerdict } from './verdict.ts'

/** A copy that its node has read back and found whole. */
interface HolderEvidence {
  node: string
  region: string
  /** UTC. */
  verifiedAt: string | null
}

/** What the account keeps of a link's content. */
export interface PinEvidence {
  requestid: string
  status: string
  policy: string
  copiesWanted: number
  holders: HolderEvidence[]
}

/** One link of a token, with what was found of it: the evidence of its verdict. */
export interface LinkFinding {
  /** `metadata`, or the role that the metadata gives it. */
  role: string
  /** JSON pointer into the metadata; empty for the metadata itself. */
  pointer: string
  /** Shortened, without secrets. */
  uri: string
  kind: string
  verdict: TokenVerdict
  /** A stable code that tells why; null when all is well. */
  reason: string | null
  cid: string | null
  path: string
  /** What the path leads to. */
  target: string | null
  /** Bytes that were read and matched; null when nothing was. */
  bytes: number | null
  /** Names of sources that gave wrong bytes. */
  corruptAt: string[]
  pin: PinEvidence | null
}

/** What was found of a token. The worst of its links decides. */
export interface Finding {
  verdict: TokenVerdict
  reason: string | null
  /** All of them, or as many as are shown: then those that decide come first. */
  links: LinkFinding[]
  /** Links that are not shown. */
  linksLeftOut: number
}

/** Where a URI of a token leads. */
export interface PointedUri {
  /** Null when it was not read, or is longer than is shown. */
  uri: string | null
  uriBytes: number
  uriSha256: string | null
  kind: string | null
  verdict: string | null
  cid: string | null
  path: string | null
  /** The name that decides, of what can be changed. */
  name: string | null
}

/** What a token points to, by its contract at one block: the same for everybody who looks. */
export interface Pointer extends PointedUri {
  /** Decimal. */
  id: string
  /** What became of the call: `read`, `reverted`, `too-long`, `not-run`, or `no-text`. */
  outcome: string
  /** Further URIs of the token (ERC-7160). */
  others: PointedUri[]
  /** What the bytes at the URI must hash to, in hex (ERC-2477); null when the contract does not say. */
  integrity: { algorithm: string; digest: string } | null
}
