import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import {
  createProof,
  findPins,
  getProof,
  hasLookedAt,
  listProofs,
  refusedCopies,
  retryAnchor,
  type Proof,
  type ProofWish,
} from '../catalog/proofs.ts'
import { isUuid } from '../catalog/uuid.ts'
import { PROOFS, type Wakes } from '../catalog/wake.ts'
import { cidKey, parseCid, toV1 } from '../core/cid.ts'
import { collectionText, parseCollectionId } from '../core/collection-id.ts'
import { HoldfastError } from '../core/errors.ts'
import { AnchorKind, ProofAnchor, ProofSeed, PROOF_SAYS } from '../core/proof/proof-file.ts'
import type { Signer } from '../core/proof/typed-data.ts'
import { KIB } from '../core/units.ts'
import { json, textAnswer } from '../runtime/http/route.ts'
import { refuseWithoutKey } from './not-configured.ts'
import { anchorOf, proofFile } from './proof-file.ts'
import { route, type ApiRoute } from './route.ts'

const MOST_PINS = 10_000
/** Roots whose missing copies are shown. */
const MOST_REFUSED = 100

const NewProof = z
  .strictObject({
    pins: z
      .array(z.string().min(1).max(512))
      .min(1)
      .max(MOST_PINS)
      .optional()
      .describe('Request ids or CIDs of pins; all pins of the account when neither this nor `collection` is there'),
    collection: z
      .string()
      .max(300)
      .optional()
      .describe('CAIP-19: the pins that the newest finished verification of it found'),
    anchor: AnchorKind.default('none').describe('Where the root is put on record'),
  })
  .refine(({ pins, collection }) => pins === undefined || collection === undefined, 'pins or a collection, not both')
  .meta({ id: 'NewProof' })

const Shown = z
  .object({
    id: z.string(),
    state: z.enum(['queued', 'challenging', 'stating', 'anchoring', 'done', 'failed']),
    says: z.string().describe('What a proof means'),
    anchorKind: AnchorKind,
    seed: ProofSeed.nullable().describe('Where the randomness of the challenges is from'),
    roots: z.number().int().describe('Roots that statements are wanted of'),
    statements: z.number().int(),
    root: z.string().nullable(),
    takenAt: z.number().nullable().describe('Seconds since 1970'),
    manifest: z.string().nullable().describe('CID of a document with all statements, pinned for the account'),
    signer: z.string().nullable(),
    anchor: ProofAnchor.nullable(),
    hindrance: z
      .object({
        code: z.string(),
        message: z.string().describe('What keeps it, and what can be done about that'),
        since: z.string(),
        triedAgainAt: z.string(),
      })
      .nullable()
      .describe('Why it comes no further for now; null: it goes on, or has ended'),
    error: z
      .object({ code: z.string(), message: z.string() })
      .nullable()
      .describe('Why it has failed; of a proof that is done, why its anchor has'),
    createdAt: z.string(),
    finishedAt: z.string().nullable(),
  })
  .meta({ id: 'Proof', description: 'Statements of pins under one signed root' })

const Refused = z.object({
  cid: z.string(),
  isStated: z.boolean().describe('Whether other copies are'),
  refused: z.array(z.object({ node: z.string(), reason: z.string() })),
})

const ProofPath = z.object({ id: z.uuid() })

export interface ProofRouteParts {
  db: Database
  wakes: Wakes
  signer?: Signer | undefined
  anchorKinds: readonly AnchorKind[]
}

/** Proofs that pins were held. */
export function proofRoutes({ db, wakes, signer, anchorKinds }: ProofRouteParts): ApiRoute[] {
  const found = async (tenantId: number, { id }: { id: string }): Promise<Proof> =>
    (await getProof(db, tenantId, id)) ?? notFound()
  return [
    route(
      {
        method: 'POST',
        path: '/v1/proofs',
        summary: 'Have holders show that they have all blocks of pins, and sign what they showed',
        access: 'proofs:write',
        body: json(NewProof, { maxBytes: 1_024 * KIB }),
        answers: { 202: Shown },
      },
      async ({ caller, body }) => {
        refuseWithoutKey(signer)
        if (!anchorKinds.includes(body.anchor)) throw notConfigured(body.anchor)
        const wanted = await wishOf(db, caller.tenantId, body)
        const made = await createProof(db, caller.tenantId, { wanted, anchorKind: body.anchor })
        wakes.announce(PROOFS)
        return { status: 202, body: shown(made) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/proofs',
        summary: 'Proofs of the account, the newest first, and who signs them',
        access: 'pins:read',
        answers: {
          200: z.object({ signer: z.string().nullable(), anchors: z.array(AnchorKind), proofs: z.array(Shown) }),
        },
      },
      async ({ caller }) => {
        const proofs = (await listProofs(db, caller.tenantId)).map(shown)
        const anchors: AnchorKind[] = [...anchorKinds]
        return { status: 200, body: { signer: signer?.address ?? null, anchors, proofs } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/proofs/{id}.json',
        summary: 'The proof as a document that anybody can check',
        access: 'pins:read',
        params: ProofPath,
        query: z.object({ cid: z.string().max(512).optional().describe('Only the statements of this root') }),
        answers: { 200: textAnswer('application/json') },
      },
      async ({ caller, params, query }) => {
        const cid = query.cid === undefined ? undefined : cidKey(parseCid(query.cid))
        return { status: 200, body: await proofFile(db, await found(caller.tenantId, params), cid) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/proofs/{id}',
        summary: 'How far a proof is, and which copies are not in it',
        access: 'pins:read',
        params: ProofPath,
        answers: { 200: Shown.extend({ refused: z.array(Refused).describe('The first 100') }) },
      },
      async ({ caller, params }) => {
        const proof = await found(caller.tenantId, params)
        return { status: 200, body: { ...shown(proof), refused: await refusedCopies(db, proof.id, MOST_REFUSED) } }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/proofs/{id}/anchor',
        summary: 'Try an anchor again that has failed; one that is under way, or final, is left as it is',
        access: 'proofs:write',
        params: ProofPath,
        answers: { 202: Shown },
      },
      async ({ caller, params }) => {
        await found(caller.tenantId, params)
        if (!(await retryAnchor(db, caller.tenantId, params.id))) {
          throw new HoldfastError('CONFLICT', 'This proof is not signed, or was asked for without an anchor.')
        }
        wakes.announce(PROOFS)
        return { status: 202, body: shown(await found(caller.tenantId, params)) }
      },
    ),
  ]
}

function notConfigured(kind: AnchorKind): HoldfastError {
  return new HoldfastError(
    'NOT_IMPLEMENTED',
    `This service anchors nothing by ${kind}; its operator can set HOLDFAST_CHAIN_RPC with HOLDFAST_EAS or HOLDFAST_PIN_ANCHOR.`,
  )
}

/** @throws BAD_REQUEST, INVALID_CID; NOT_FOUND for what is no pin of the account, or a collection that was not looked at */
async function wishOf(db: Database, tenantId: number, body: z.output<typeof NewProof>): Promise<ProofWish> {
  if (body.collection !== undefined) {
    const { tokenId: _, ...id } = parseCollectionId(body.collection)
    const collection = collectionText(id)
    if (await hasLookedAt(db, tenantId, collection)) return { collection }
    throw new HoldfastError('NOT_FOUND', 'This collection has no finished verification: verify it first.')
  }
  if (body.pins === undefined) return {}
  const ids = body.pins.filter(isUuid).map((id) => id.toLowerCase())
  const cids = body.pins.filter((text) => !isUuid(text)).map((text) => toV1(parseCid(text)))
  const pins = await findPins(db, tenantId, { ids, cids: cids.map(({ bytes }) => bytes) })
  const known = new Set(pins.flatMap(({ id, cid }) => [id, cid.toString('hex')]))
  const unknown = [...ids, ...cids.map(({ bytes }) => Buffer.from(bytes).toString('hex'))].find(
    (key) => !known.has(key),
  )
  if (unknown !== undefined) throw new HoldfastError('NOT_FOUND', 'Not all of these are pins of this account.')
  return { pins: pins.map(({ id }) => id) }
}

function shown(proof: Proof): z.input<typeof Shown> {
  const { id, state, anchorKind, seed, contents, statements, root, takenAt, manifest, signer } = proof
  const { error, hinderedSince: since, dueAt: triedAgainAt, createdAt, finishedAt } = proof
  const signed = { seed, roots: contents, statements, root, takenAt, manifest, signer, anchor: anchorOf(proof) }
  const hindrance = error !== null && since !== null ? { ...error, since, triedAgainAt } : null
  const ended = { error: hindrance === null ? error : null, createdAt, finishedAt }
  return { id, state, says: PROOF_SAYS, anchorKind, ...signed, hindrance, ...ended }
}

function notFound(): never {
  throw new HoldfastError('NOT_FOUND', 'There is no such proof.')
}
