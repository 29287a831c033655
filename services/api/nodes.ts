import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import { createJoinToken } from '../catalog/nodes-joining.ts'
import { drainNode, listNodes, undrainNode, type NodeView } from '../catalog/nodes.ts'
import { HoldfastError } from '../core/errors.ts'
import { json } from '../runtime/http/route.ts'
import { route, type ApiRoute } from './route.ts'
import { storedText } from './stored-text.ts'
import { Timestamp } from './timestamp.ts'

const size = z.number().nonnegative()

const Node = z
  .object({
    id: z.string().describe('Its name'),
    region: z.string(),
    labels: z.record(z.string(), z.string()),
    state: z.enum(['active', 'draining', 'drained']),
    liveness: z.enum(['up', 'suspect', 'down']),
    gateway: z.string(),
    peer: z.string().nullable().describe('libp2p peer id; null while its peer does not run'),
    addresses: z.array(z.string()),
    capacityBytes: size,
    freeBytes: size,
    storedBytes: size,
    blocks: size,
    roots: size,
    queued: size.describe('Copies that it works on or that wait for it; counted up to 10,000'),
    refusal: z.string().nullable().describe('Why it takes no writes; null when it does'),
    lastSeenAt: z.string(),
    joinedAt: z.string(),
  })
  .meta({ id: 'Node', description: 'A storage server' })

const Invitation = z
  .strictObject({
    name: storedText({ min: 1, max: 100 }).describe('What the invitation is called'),
    expiresAt: Timestamp.optional(),
  })
  .meta({ id: 'Invitation' })

const NodeId = z.object({ id: z.string().min(1).max(63) })

/** The storage servers of the cluster. */
export function nodeRoutes({ db }: { db: Database }): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/nodes',
        summary: 'Storage servers, by name',
        access: 'pins:read',
        answers: { 200: z.object({ nodes: z.array(Node) }) },
      },
      async () => ({ status: 200, body: { nodes: (await listNodes(db)).map(shown) } }),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/nodes/{id}:drain',
        summary: 'Move the copies of a node elsewhere; it goes on serving meanwhile',
        access: 'nodes:admin',
        params: NodeId,
        answers: { 200: Node },
      },
      async ({ params }) => {
        await drainNode(db, params.id)
        return { status: 200, body: await nodeOf(db, params.id) }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/nodes/{id}:undrain',
        summary: 'Let a draining or drained node take copies again',
        access: 'nodes:admin',
        params: NodeId,
        answers: { 200: Node },
      },
      async ({ params }) => {
        await undrainNode(db, params.id)
        return { status: 200, body: await nodeOf(db, params.id) }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/nodes:invite',
        summary: 'Make a token by which nodes can join the cluster',
        access: 'nodes:admin',
        body: json(Invitation),
        answers: { 201: z.object({ joinToken: z.string().describe('Shown now and never again') }) },
      },
      async ({ body }) => {
        const joinToken = await createJoinToken(db, { name: body.name, expiresAt: body.expiresAt ?? null })
        return { status: 201, body: { joinToken } }
      },
    ),
  ]
}

async function nodeOf(db: Database, id: string): Promise<z.infer<typeof Node>> {
  const node = (await listNodes(db)).find((candidate) => candidate.name === id || candidate.id === id)
  if (node === undefined) throw new HoldfastError('NOT_FOUND', `There is no node ${JSON.stringify(id)}.`)
  return shown(node)
}

/** Nodes are known by name outside; their number is how rows refer to them. */
function shown({ name, labels, peerId, ...node }: NodeView): z.infer<typeof Node> {
  return { ...node, id: name, labels, region: labels['region'] ?? '', peer: peerId }
}
