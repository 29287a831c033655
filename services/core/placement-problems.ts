import { whyUnusable, type Place, type Unusable } from './place.ts'
import { missingCopies, missingValues, wouldCrowd, type PlacementRules } from './placement-rules.ts'

/** Something that the policies ask and the cluster cannot give just now. */
export interface PlacementProblem {
  code: 'TOO_FEW_NODES' | 'RULE_NOT_MET'
  /** A sentence for the owner of the pin. */
  message: string
}

/** What the chosen places leave unmet, the number of copies first. */
export function findProblems(
  places: readonly Place[],
  chosen: readonly Place[],
  rules: PlacementRules,
  sizeBytes: number | undefined,
): PlacementProblem[] {
  const nodes = chosen.map(({ node }) => node)
  const problems: PlacementProblem[] = []
  if (chosen.length < rules.target) {
    const reasons = whyNotOthers(places, chosen, rules, sizeBytes)
    const message = `${chosen.length} of ${rules.target} copies have a place. Of the other nodes ${reasons}.`
    problems.push({ code: 'TOO_FEW_NODES', message })
  }
  for (const rule of rules.distinct) {
    const missing = missingValues(rule, nodes)
    if (missing === 0) continue
    const message = `Copies lie in ${rule.distinct - missing} of ${rule.distinct} different values of ${rule.spread}.`
    problems.push({ code: 'RULE_NOT_MET', message })
  }
  for (const rule of rules.require) {
    const missing = missingCopies(rule, nodes)
    if (missing === 0) continue
    const where = `${rule.require} ${rule.in.join(', ')}`
    problems.push({
      code: 'RULE_NOT_MET',
      message: `${rule.copies - missing} of ${rule.copies} copies lie in ${where}.`,
    })
  }
  return problems
}

type Reason = Unusable | 'crowded'

const REASONS: Record<Reason, string> = {
  silent: 'silent',
  leaving: 'being drained',
  forbidden: 'forbidden by a rule',
  refusing: 'taking no writes',
  full: 'without space',
  declined: 'unable to hold this content',
  crowded: 'where enough copies lie already',
}

function whyNotOthers(
  places: readonly Place[],
  chosen: readonly Place[],
  rules: PlacementRules,
  sizeBytes: number | undefined,
): string {
  const taken = new Set(chosen.map(({ node }) => node.id))
  const nodes = chosen.map(({ node }) => node)
  const counts = new Map<Reason, number>()
  for (const place of places) {
    if (taken.has(place.node.id)) continue
    const reason =
      whyUnusable(place, rules, sizeBytes) ?? (wouldCrowd(rules, place.node, nodes) ? 'crowded' : undefined)
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  if (counts.size === 0) return 'there are none'
  return (Object.keys(REASONS) as Reason[])
    .map((reason) => ({ reason, count: counts.get(reason) ?? 0 }))
    .filter(({ count }) => count > 0)
    .map(({ reason, count }) => `${count} ${count === 1 ? 'is' : 'are'} ${REASONS[reason]}`)
    .join(', ')
}
