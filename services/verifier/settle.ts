import type { Finding, LinkFinding, PinEvidence } from '../core/collection-report/finding.ts'
import { VERDICTS, worstVerdict } from '../core/collection-report/verdict.ts'
import { isIdentity, parseCid } from '../core/cid.ts'
import type { SeenLink } from './examine.ts'

/** The CIDs by which a link may be pinned: its root, and what its path leads to. */
export function pinnableBy({ cid, target }: SeenLink): string[] {
  return [...new Set([cid, target])].filter((key) => key !== null)
}

/**
 * What is found of a token: of links whose content is sound, who keeps it counts; the worst link decides.
 * @param pins of the account, by the CIDs that they keep
 */
export function settle(links: readonly SeenLink[], pins: ReadonlyMap<string, PinEvidence>): Finding {
  const settled = links.map((link) => settleLink(link, pins))
  const verdict = worstVerdict(settled.map((link) => link.verdict))
  const reason = settled.find((link) => link.verdict === verdict)?.reason ?? null
  if (settled.length <= MOST_SHOWN) return { verdict, reason, links: settled, linksLeftOut: 0 }
  const deciding = settled.toSorted((a, b) => Number(b.verdict === verdict) - Number(a.verdict === verdict))
  return { verdict, reason, links: deciding.slice(0, MOST_SHOWN), linksLeftOut: settled.length - MOST_SHOWN }
}

/** Links of one token in a report. */
const MOST_SHOWN = 32

function settleLink(link: SeenLink, pins: ReadonlyMap<string, PinEvidence>): LinkFinding {
  const found = pinnableBy(link).flatMap((key) => pins.get(key) ?? [])
  const pin = found.find(({ status }) => status === 'pinned') ?? found[0] ?? null
  const isHeld = pin?.status === 'pinned' && pin.holders.length > 0
  // Too large to be read back here: its holders have read it back.
  if (link.reason === 'TOO_LARGE' && link.role !== 'metadata' && isHeld) {
    return { ...link, verdict: 'VERIFIED', reason: 'BY_HOLDERS', pin }
  }
  const isSound = VERDICTS.indexOf(link.verdict) <= VERDICTS.indexOf('VERIFIED_GATEWAY_LINK')
  if (!isSound || link.target === null || isIdentity(parseCid(link.target))) return { ...link, pin }
  if (pin === null) return { ...link, verdict: 'NOT_PINNED_HERE', reason: 'NOT_PINNED_HERE', pin }
  return isHeld ? { ...link, pin } : { ...link, verdict: 'UNDER_REPLICATED', reason: 'TOO_FEW_COPIES', pin }
}
