import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Database } from '../../catalog/database.ts'
import { pinHolders } from '../../catalog/pins-holders.ts'
import type { PinAcceptor } from '../../catalog/pins-accept.ts'
import { getPolicy } from '../../catalog/policies.ts'
import { roomOf } from '../../catalog/tenants.ts'
import { parseCid } from '../../core/cid.ts'
import { HoldfastError } from '../../core/errors.ts'
import { DEFAULT_POLICY_NAME, PolicyName } from '../../core/policy.ts'
import { formatSize } from '../../core/units.ts'
import { DEFAULT_PROFILE, PROFILES } from '../../dag/profile.ts'
import { bytes, type IncomingBytes } from '../../runtime/http/route.ts'
import type { Delegates } from '../pins/delegates.ts'
import { PinName, PinStatus } from '../pins/pin-schema.ts'
import { pinView } from '../pins/pin-view.ts'
import { route, type ApiRoute } from '../route.ts'
import { firstNodes, type FirstNode } from './first-nodes.ts'
import type { IntakeClient } from './intake-client.ts'
import { firstCopyOf, sendToFirst } from './send-to-first.ts'

export interface UploadParts {
  db: Database
  acceptor: PinAcceptor
  delegates: Delegates
  intake: IntakeClient
  /** Bytes of one upload, for accounts without a limit of their own. */
  maxUploadBytes: number
}

const CAR = 'application/vnd.ipld.car'
const FORM = 'multipart/form-data'

const Uploaded = z
  .object({
    cid: z.string(),
    size: z.number().int().nonnegative().describe('Bytes of the content'),
    blocks: z.number().int().nonnegative(),
    pin: PinStatus,
  })
  .meta({ id: 'Uploaded' })

/** `POST /v1/uploads`: a file, a folder as a form, or a CAR, streamed to a node and pinned. */
export function uploadRoutes(parts: UploadParts): ApiRoute[] {
  return [
    route(
      {
        method: 'POST',
        path: '/v1/uploads',
        summary: 'Upload a file, a folder (multipart, filenames are paths) or a CAR, and pin it',
        access: 'uploads:write',
        query: z.object({
          name: PinName.optional(),
          policy: PolicyName.default(DEFAULT_POLICY_NAME),
          profile: z.enum(PROFILES).default(DEFAULT_PROFILE).describe('How a file or folder becomes a DAG'),
          base: z
            .uuid()
            .optional()
            .describe('Request id of a pin of yours: a CAR may leave out the blocks that it keeps'),
        }),
        body: bytes('application/octet-stream', FORM, CAR),
        answers: { 201: Uploaded },
      },
      async ({ caller, query, body, signal }) => {
        const { policy, maxBytes } = await admit(parts.db, caller.tenantId, query.policy, body, parts.maxUploadBytes)
        const candidates =
          query.base === undefined
            ? await firstNodes(parts.db, { policy, key: randomUUID(), sizeBytes: body.length })
            : await holdersOf(parts.db, caller.tenantId, query.base)
        const { node, answer } = await sendToFirst(parts.intake, candidates, {
          query: { kind: kindOf(body.type), profile: query.profile, maxBytes: String(maxBytes) },
          contentType: body.type,
          length: body.length,
          body: body.stream,
          signal,
        })
        if (query.base !== undefined && !answer.complete) throw incomplete()
        const pin = await parts.acceptor.accept(caller.tenantId, {
          cid: parseCid(answer.cid),
          cidText: answer.cid,
          name: query.name,
          policy: query.policy,
          profile: answer.profile,
          firstCopy: firstCopyOf(node, answer),
        })
        const view = pinView(pin, await parts.delegates())
        return { status: 201, body: { cid: answer.cid, size: answer.size, blocks: answer.blocks, pin: view } }
      },
    ),
  ]
}

/** What can be refused before a byte is read is refused then. */
async function admit(
  db: Database,
  tenantId: number,
  policyName: string,
  { length }: IncomingBytes,
  maxUploadBytes: number,
) {
  const [policy, room] = await Promise.all([getPolicy(db, tenantId, policyName), roomOf(db, tenantId)])
  if (policy === undefined) throw new HoldfastError('BAD_REQUEST', `There is no policy named ${policyName}.`)
  if (room.maxPins !== undefined && room.pins >= room.maxPins) {
    throw new HoldfastError('INSUFFICIENT_FUNDS', `The account has all of its ${room.maxPins} pins.`)
  }
  const maxBytes = Math.min(room.maxPinBytes ?? maxUploadBytes, maxUploadBytes)
  if ((length ?? 0) > maxBytes) {
    throw new HoldfastError('PAYLOAD_TOO_LARGE', `An upload may have at most ${formatSize(maxBytes)}.`)
  }
  return { policy: policy.policy, maxBytes }
}

/** @throws BLOCK_MISSING when none can take the upload */
async function holdersOf(db: Database, tenantId: number, pinId: string): Promise<FirstNode[]> {
  const holders = await pinHolders(db, tenantId, pinId)
  if (holders.length > 0) return holders
  throw new HoldfastError('BLOCK_MISSING', 'No node that takes uploads has what the pin named as `base` keeps.')
}

function incomplete(): HoldfastError {
  return new HoldfastError('BLOCK_MISSING', 'The CAR leaves out blocks that the pin named as `base` does not keep.')
}

/** A type that we do not know is that of a file. */
function kindOf(contentType: string): 'file' | 'directory' | 'car' {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase()
  if (type === CAR) return 'car'
  return type === FORM ? 'directory' : 'file'
}
