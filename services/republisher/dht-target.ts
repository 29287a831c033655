import type { Database } from '../catalog/database.ts'
import { someNodesUp } from '../catalog/names-targets.ts'
import { hasCode, type HoldfastError } from '../core/errors.ts'
import { tellingOf, type NodePuts } from './node-puts.ts'
import type { PutTarget } from './put-target.ts'

/** A node that cannot do it now has another one do it. */
const NODES_TRIED = 2

/** The DHT, by way of the nodes. */
export function dhtTarget(db: Database, puts: NodePuts): PutTarget {
  return {
    id: 'dht',
    async put(name, record, { signal }) {
      const failures: HoldfastError[] = []
      for (const node of await someNodesUp(db, NODES_TRIED)) {
        try {
          return await puts.put(node, { by: 'dht', name: name.text, record, signal })
        } catch (error) {
          if (!hasCode(error)) throw error
          failures.push(error)
        }
      }
      throw tellingOf(failures)
    },
  }
}
