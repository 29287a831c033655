import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Database } from '../catalog/database.ts'
import {
  createVerification,
  getVerification,
  listVerifications,
  reportedTokens,
  tokensOfVerdict,
  type ReportedToken,
  type Verification,
} from '../catalog/verifications.ts'
import { VERIFICATIONS, type Wakes } from '../catalog/wake.ts'
import { collectionText, parseCollectionId, type CollectionId } from '../core/collection-id.ts'
import type { Json } from '../core/collection-report/canonical-json.ts'
import { PAGE_POLICY, reportPage } from '../core/collection-report/report-page.ts'
import { reportJson, reportLines, type ReportHead } from '../core/collection-report/report.ts'
import { VERDICTS } from '../core/collection-report/verdict.ts'
import { HoldfastError } from '../core/errors.ts'
import { ReportSignature, signReport } from '../core/proof/report-signature.ts'
import type { Signer } from '../core/proof/typed-data.ts'
import { parseTokenId } from '../core/token-uri/token-id.ts'
import { KIB } from '../core/units.ts'
import { json, textAnswer } from '../runtime/http/route.ts'
import { refuseWithoutChain, refuseWithoutKey } from './not-configured.ts'
import { route, type ApiRoute } from './route.ts'
import type { KeepDocument } from './uploads/keep-document.ts'

const MOST_IDS = 10_000
/** Tokens of each verdict on a page. */
const EXAMPLES = 100

const Decimal = z.string().regex(/^(0|[1-9]\d{0,18})$/, 'a number of a block')

const NewVerification = z
  .strictObject({
    block: z
      .union([z.enum(['finalized', 'safe', 'latest']), Decimal])
      .default('finalized')
      .describe('By which everything is read'),
    ids: z
      .array(z.string().refine((text) => parseTokenId(text) !== undefined, 'a token id'))
      .min(1)
      .max(MOST_IDS)
      .optional()
      .describe('Only these tokens'),
    fromBlock: Decimal.optional().describe('Where the contract was made, for chains whose old state nobody keeps'),
    maxTokens: z.number().int().min(1).max(1_000_000).optional(),
    rehash: z.boolean().default(false).describe('Have holders read their copies back first; others do not count'),
  })
  .meta({ id: 'NewVerification' })

const Counts = z.record(z.string(), z.number())
const Shown = z
  .object({
    id: z.string(),
    collection: z.string(),
    state: z.enum(['queued', 'reading', 'checking', 'done', 'failed']),
    block: z.object({ number: z.string(), hash: z.string() }).nullable(),
    contract: z.record(z.string(), z.unknown()).nullable().describe('What the contract is and says of itself'),
    coverage: z.record(z.string(), z.unknown()).nullable().describe('How tokens were found, and what is missing'),
    tokens: z.number().int().describe('Found so far'),
    checked: z.number().int().describe('Those of them whose content was looked at'),
    figures: z
      .object({ verdicts: Counts, kinds: Counts, copies: Counts, hosts: Counts })
      .nullable()
      .describe('Numbers of tokens, once it is done'),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    createdAt: z.string(),
    startedAt: z.string().nullable(),
    finishedAt: z.string().nullable(),
  })
  .meta({ id: 'Verification', description: 'A look at a collection of tokens' })

const CollectionPath = z.object({ caip19: z.string().max(300) })
const VerificationPath = CollectionPath.extend({ id: z.uuid() })

export interface CollectionParts {
  db: Database
  wakes: Wakes
  /** Signs reports; undefined: they are not signed. */
  signer?: Signer | undefined
  keep: KeepDocument
  /** Whether somebody looks at collections here. */
  readsChain: boolean
}

/** What the contract of a collection points to, and who has it. */
export function collectionRoutes({ db, wakes, signer, keep, readsChain }: CollectionParts): ApiRoute[] {
  const found = async (tenantId: number, params: { caip19: string; id: string }): Promise<Verification> => {
    const collection = collectionText(collectionIn(params))
    return (await getVerification(db, tenantId, { collection, id: params.id })) ?? notFound()
  }
  /** The report in JSON, the same text each time. */
  const reportOf = (head: ReportHead): AsyncGenerator<string> => reportJson(head, () => reportedTokens(db, head.id))
  return [
    route(
      {
        method: 'POST',
        path: '/v1/collections/{caip19}/verifications',
        summary: 'Look at every token of a collection: what it points to, who has it, and a verdict with evidence',
        access: 'collections:write',
        params: CollectionPath,
        body: json(NewVerification, { maxBytes: 1_024 * KIB }),
        answers: { 202: Shown },
      },
      async ({ caller, params, body }) => {
        refuseWithoutChain(readsChain, 'Collections cannot be verified')
        const { block, ids, fromBlock, maxTokens, rehash } = body
        const { tokenId, ...id } = collectionIn(params)
        const wantedIds = tokenId === undefined ? ids?.map((text) => String(parseTokenId(text))) : [String(tokenId)]
        const wanted = {
          block,
          ...(wantedIds && { ids: wantedIds }),
          ...(fromBlock !== undefined && { fromBlock }),
          ...(maxTokens !== undefined && { maxTokens }),
          ...(rehash && { rehash }),
        }
        const made = await createVerification(db, caller.tenantId, { collection: collectionText(id), wanted })
        wakes.announce(VERIFICATIONS)
        return { status: 202, body: shown(made) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications',
        summary: 'Looks at a collection, the newest first',
        access: 'pins:read',
        params: CollectionPath,
        answers: { 200: z.object({ verifications: z.array(Shown) }) },
      },
      async ({ caller, params }) => {
        const all = await listVerifications(db, caller.tenantId, collectionText(collectionIn(params)))
        return { status: 200, body: { verifications: all.map(shown) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications/{id}.signature.json',
        summary: 'The signature of the report in JSON, by the key of the service',
        access: 'pins:read',
        params: VerificationPath,
        answers: { 200: ReportSignature },
      },
      async ({ caller, params }) => {
        const run = await found(caller.tenantId, params)
        refuseWithoutKey(signer)
        const head = headOf(run)
        const sha256 = createHash('sha256')
        for await (const text of reportOf(head)) sha256.update(text)
        const { collection, block } = head
        const { chainId } = parseCollectionId(collection)
        const reportSha256 = sha256.digest('hex')
        return { status: 200, body: signReport(signer, { chainId: Number(chainId), collection, reportSha256, block }) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications/{id}.json',
        summary: 'The report in canonical JSON (RFC 8785)',
        access: 'pins:read',
        params: VerificationPath,
        answers: { 200: textAnswer('application/json') },
      },
      async ({ caller, params }) => {
        return { status: 200, body: reportOf(headOf(await found(caller.tenantId, params))) }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/collections/{caip19}/verifications/{id}/pin',
        summary: 'Keep the report in JSON like a file of the account, pinned under the default policy',
        access: 'pins:write',
        params: VerificationPath,
        answers: { 201: z.object({ cid: z.string() }) },
      },
      async ({ caller, params, signal }) => {
        const head = headOf(await found(caller.tenantId, params))
        const cid = await keep(caller.tenantId, { name: `report ${head.id}`, text: reportOf(head), signal })
        return { status: 201, body: { cid } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications/{id}.ndjson',
        summary: 'The report as lines: its head, then each token',
        access: 'pins:read',
        params: VerificationPath,
        answers: { 200: textAnswer('application/x-ndjson') },
      },
      async ({ caller, params }) => {
        const head = headOf(await found(caller.tenantId, params))
        return { status: 200, body: reportLines(head, reportedTokens(db, head.id)) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications/{id}.html',
        summary: 'The report as one page without scripts, with the worst tokens',
        access: 'pins:read',
        params: VerificationPath,
        answers: { 200: textAnswer('text/html; charset=utf-8') },
      },
      async ({ caller, params }) => {
        const run = await found(caller.tenantId, params)
        const page = pageOf(run, headOf(run), await examplesOf(db, run))
        return { status: 200, headers: PAGE_HEADERS, body: reportPage(page) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/collections/{caip19}/verifications/{id}',
        summary: 'How far a look at a collection is, and its figures',
        access: 'pins:read',
        params: VerificationPath,
        answers: { 200: Shown },
      },
      async ({ caller, params }) => ({ status: 200, body: shown(await found(caller.tenantId, params)) }),
    ),
  ]
}

const PAGE_HEADERS = {
  'Content-Security-Policy': PAGE_POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
}

/** @throws BAD_REQUEST */
function collectionIn({ caip19 }: { caip19: string }): CollectionId {
  return parseCollectionId(caip19)
}

function notFound(): never {
  throw new HoldfastError('NOT_FOUND', 'There is no such verification of this collection.')
}

function blockIn({
  blockNumber,
  blockHash,
}: Pick<Verification, 'blockNumber' | 'blockHash'>): { number: string; hash: string } | null {
  return blockNumber === null || blockHash === null ? null : { number: blockNumber, hash: blockHash }
}

function shown(run: Verification): z.input<typeof Shown> {
  const { id, collection, state, contract, coverage, tokens, checked, figures } = run
  const { error, createdAt, startedAt, finishedAt } = run
  const block = blockIn(run)
  return {
    id,
    collection,
    state,
    block,
    contract,
    coverage,
    tokens,
    checked,
    figures,
    error,
    createdAt,
    startedAt,
    finishedAt,
  }
}

/** @throws CONFLICT until it is done */
function headOf(run: Verification): ReportHead {
  const { id, collection, contract, coverage, sources, figures, createdAt, finishedAt } = run
  const block = blockIn(run)
  if (run.state !== 'done' || block === null || figures === null || finishedAt === null) {
    throw new HoldfastError('CONFLICT', `There is no report: the verification is ${run.state}.`)
  }
  const fields = { contract: contract as Json, coverage: coverage as Json, figures: figures as unknown as Json }
  return { id, collection, block, ...fields, sources: sources ?? [], createdAt, finishedAt }
}

async function examplesOf(db: Database, { id, figures }: Verification): Promise<ReportedToken[]> {
  const found: ReportedToken[] = []
  for (const verdict of VERDICTS.toReversed()) {
    if ((figures?.verdicts[verdict] ?? 0) === 0) continue
    found.push(...(await tokensOfVerdict(db, id, { verdict, limit: EXAMPLES })))
  }
  return found
}

function pageOf({ tokens, contract, coverage, figures }: Verification, head: ReportHead, examples: ReportedToken[]) {
  const { isComplete, gaps } = coverage as { isComplete: boolean; gaps: string[] }
  const { name, mutability } = contract as { name: string | null; mutability: { grade: string; setters: string[] } }
  const setters = mutability.setters.length === 0 ? '' : ` (${mutability.setters.join(', ')})`
  const counts = figures ?? { verdicts: {}, kinds: {}, copies: {}, hosts: {} }
  const who = mutability.grade + setters
  return { ...head, tokens, isComplete, gaps, contractName: name ?? '', mutability: who, counts, examples }
}
