import type { CID } from 'multiformats/cid'
import type { RulesInForce } from '../core/rules-in-force.ts'
import type { RestrictedBlocks } from './restricted-blocks.ts'

/** Whether a block is not for everybody: denied, a restricted root, or a part of one. */
export function isWithheld(
  cid: CID,
  { rules, restricted }: { rules: RulesInForce; restricted: Pick<RestrictedBlocks, 'rootsOf'> },
): boolean {
  return (
    rules.denylists.block(cid) !== undefined ||
    rules.restricted.grantorsOf(cid) !== undefined ||
    restricted.rootsOf(cid).length > 0
  )
}
