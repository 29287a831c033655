import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { readDirectory } from '../catalog/directory.ts'
import { HoldfastError } from '../core/errors.ts'
import { bytes } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'
import { NodeRefused, type IntakeClient } from './uploads/intake-client.ts'
import type { NodeAddress } from '../runtime/node-agent.ts'

export interface ImportParts {
  db: Database
  intake: IntakeClient
  /** Bytes of one CAR. */
  maxUploadBytes: number
}

const Imported = z
  .object({
    cid: z.string().describe('Root of the CAR'),
    blocks: z.number().int().nonnegative().describe('Those that the node did not have'),
    bytes: z.number().int().nonnegative(),
  })
  .meta({
    id: 'Imported',
    description: 'Blocks that a node has now, and keeps for the grace time unless they are pinned',
  })

/** `POST /v1/nodes/{id}:import`: blocks for one node, which nobody has to want and which need not make a whole DAG. */
export function importRoute({ db, intake, maxUploadBytes }: ImportParts): ApiRoute {
  return route(
    {
      method: 'POST',
      path: '/v1/nodes/{id}:import',
      summary: 'Put the blocks of a CAR on a node without pinning them; blocks may be missing',
      access: 'nodes:admin',
      params: z.object({ id: z.string().min(1).max(63) }),
      body: bytes('application/vnd.ipld.car', 'application/octet-stream'),
      answers: { 201: Imported },
    },
    async ({ params, body, signal }) => {
      const node = await addressOf(db, params.id)
      const query = { kind: 'blocks', maxBytes: String(maxUploadBytes) }
      try {
        const sent = { query, contentType: body.type, length: body.length, body: body.stream, signal }
        const { cid, blocks, bytes } = await intake.send(node, sent)
        return { status: 201, body: { cid, blocks, bytes } }
      } catch (error) {
        throw error instanceof NodeRefused ? error.cause : error
      }
    },
  )
}

async function addressOf(db: Database, id: string): Promise<NodeAddress> {
  const node = (await readDirectory(db)).nodes.find(({ name }) => name === id)
  if (node === undefined) throw new HoldfastError('NOT_FOUND', `There is no node ${JSON.stringify(id)}.`)
  return node
}
