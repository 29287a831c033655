import type { Sql } from '../../catalog/database.ts'
import { readDirectory } from '../../catalog/directory.ts'
import { readNodes } from '../../catalog/nodes.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { PlacementProblem } from '../../core/placement-problems.ts'
import { plan } from '../../core/placement.ts'
import type { Policy } from '../../core/policy.ts'
import type { NodeAddress } from '../../runtime/node-agent.ts'

export interface FirstNode extends NodeAddress {
  id: number
}

/** Nodes that are tried for one upload. */
const CANDIDATES = 3

/**
 * The nodes that an upload may go to first, the best before the others. Placement decides, as for every copy, but the
 * root is not known yet: `key` stands for it and spreads uploads over the nodes.
 * @throws NO_NODE_AVAILABLE, with what hinders all of them
 */
export async function firstNodes(
  db: Sql,
  { policy, key, sizeBytes }: { policy: Policy; key: string; sizeBytes: number | undefined },
): Promise<FirstNode[]> {
  const [nodes, directory] = await Promise.all([readNodes(db), readDirectory(db)])
  const addresses = new Map(directory.nodes.map(({ name, transfer, publicKey }) => [name, { transfer, publicKey }]))
  const size = sizeBytes === undefined ? {} : { sizeBytes }
  const found: FirstNode[] = []
  let left = nodes
  while (found.length < CANDIDATES) {
    const { allocate, problems } = plan({ policies: [policy], nodes: left, replicas: [], root: key, ...size })
    if (allocate.length === 0 && found.length === 0) throw noNode(problems)
    if (allocate.length === 0) break
    for (const id of allocate) {
      const node = left.find((candidate) => candidate.id === id)
      const address = node && addresses.get(node.name)
      if (node !== undefined && address !== undefined) found.push({ id, name: node.name, ...address })
    }
    left = left.filter(({ id }) => !allocate.includes(id))
  }
  return found.slice(0, CANDIDATES)
}

function noNode([problem]: readonly PlacementProblem[]): HoldfastError {
  const why = problem === undefined ? '' : ` ${problem.message}`
  return new HoldfastError('NO_NODE_AVAILABLE', `No storage node can take an upload just now.${why}`)
}
