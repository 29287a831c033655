import type { CID } from 'multiformats/cid'
import { DAG_PB, RAW } from '../core/cid.ts'
import type { Block } from '../dag/fetch-dag.ts'
import { unixfsNode } from '../dag/node.ts'
import { readBlock } from '../dag/read-block.ts'
import { writeCar } from '../dag/write-car.ts'
import type { Answer } from './answer.ts'
import { carBlocks, type CarSelection } from './car-blocks.ts'
import { rangeOf, type CarParameters } from './car-parameters.ts'
import { fingerprint } from './etag.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import { contentHeaders, presentation } from './headers.ts'
import type { Place } from './place.ts'
import type { GatewayRequest } from './request.ts'
import type { Found } from './respond.ts'

/**
 * A CAR with the blocks that prove the path, then those of the content, depth first. Its root is the content's CID.
 * The content's first block is read before anything is answered, so that a missing one is told by status.
 * https://specs.ipfs.tech/http-gateways/trustless-gateway/#car-responses-application-vnd-ipld-car
 */
export async function answerCar(request: GatewayRequest, found: Found, proof: readonly Block[]): Promise<Answer> {
  const { cid, place, blocks, signal } = found
  const bytes = await readBlock(cid, blocks, { signal })
  const selection = select(request.car, cid, bytes)
  return {
    status: 200,
    headers: {
      ...contentHeaders(request, found, carTag(request, place, cid)),
      ...presentation(request, mediaType(request.car), { kind: 'attachment', name: `${cid.toString()}.car` }),
      'accept-ranges': 'none',
    },
    body: writeCar([cid], carBlocks({ cid, bytes }, proof, blocks, { ...selection, signal })),
  }
}

/** What of the content is wanted. A range that holds no byte of a file wants its first block alone. */
function select({ scope, entityBytes, duplicates }: CarParameters, cid: CID, bytes: Uint8Array): CarSelection {
  if (scope !== 'entity' || entityBytes === undefined) return { scope, range: undefined, duplicates }
  const node = cid.code === RAW || cid.code === DAG_PB ? unixfsNode(cid, bytes) : undefined
  if (node?.type !== 'file') return { scope, range: undefined, duplicates }
  const range = rangeOf(entityBytes, node.size)
  return { scope: range === undefined ? 'block' : 'entity', range, duplicates }
}

function mediaType({ duplicates }: CarParameters): string {
  return `${MEDIA_TYPE_OF.car}; version=1; order=dfs; dups=${duplicates ? 'y' : 'n'}`
}

/** A CAR depends on the path and on every parameter; its bytes are the same each time. */
function carTag({ car }: GatewayRequest, { root, segments }: Place, cid: CID): string {
  return `"${cid.toString()}.car.${fingerprint(root.toString(), ...segments, JSON.stringify(car))}"`
}
