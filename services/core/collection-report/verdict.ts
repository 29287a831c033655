/** What is found of a token, from the best to the worst. */
export const VERDICTS = [
  /** All of it is here: every byte matches its CID, the account pins it, and it has its copies. */
  'VERIFIED',
  /** All of it stands in the contract's own answer. */
  'ON_CHAIN',
  /** As verified, but the contract names one gateway's address. */
  'VERIFIED_GATEWAY_LINK',
  /** Pinned by the account, with fewer copies than its policy needs. */
  'UNDER_REPLICATED',
  /** Somebody has it; this account does not pin it. */
  'NOT_PINNED_HERE',
  'OTHER_NETWORK',
  /** A name decides, and its owner can change what it stands for. */
  'MUTABLE',
  /** One server's word. */
  'CENTRALISED',
  /** The URI leads nowhere, or to what is no metadata. */
  'INVALID_METADATA',
  /** It has not the hash that the metadata says. */
  'MISMATCH',
  /** Somebody who should have it gave bytes that do not match the CID. */
  'CORRUPT',
  /** The contract refuses to tell. */
  'UNREADABLE',
  /** Everybody was asked, and nobody has it. */
  'MISSING',
  /** It could not be looked at: limits, or sources that did not answer. */
  'UNKNOWN',
] as const

export type TokenVerdict = (typeof VERDICTS)[number]

/** The worst of several; `VERIFIED` when there are none. */
export function worstVerdict(verdicts: Iterable<TokenVerdict>): TokenVerdict {
  let worst = 0
  for (const verdict of verdicts) worst = Math.max(worst, VERDICTS.indexOf(verdict))
  return VERDICTS[worst] as TokenVerdict
}
