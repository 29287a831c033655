import type { CID } from 'multiformats/cid'
import { rereadCopies } from '../catalog/copies-reread.ts'
import type { Database } from '../catalog/database.ts'
import { pinsOf } from '../catalog/pins-evidence.ts'
import {
  addTokens,
  beginChecking,
  beginReading,
  finishVerification,
  openTokens,
  saveFindings,
  type FoundToken,
  type FoundVerdict,
  type LeasedVerification,
  type OpenToken,
} from '../catalog/verifications-work.ts'
import type { CollectionWanted } from '../chain/collection.ts'
import { readContract } from '../chain/contract-profile.ts'
import { enumerateTokens } from '../chain/enumerate.ts'
import { numberOfHex, type Hex } from '../chain/hex.ts'
import { pinBlock, type BlockTag, type ChainBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import type { TokenRead } from '../chain/read-tokens.ts'
import { readTokenExtensions, type TokenExtensions } from '../chain/token-extensions.ts'
import { parseCid } from '../core/cid.ts'
import { parseCollectionId, type CollectionId } from '../core/collection-id.ts'
import { canonicalJson } from '../core/collection-report/canonical-json.ts'
import type { Finding, Pointer } from '../core/collection-report/finding.ts'
import { HoldfastError } from '../core/errors.ts'
import { formatSize, HOUR_MS, MIB, MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { pause } from '../runtime/loop.ts'
import { CheckedSource, type Holder } from './checked-source.ts'
import { Contents, DEFAULT_CONTENT_LIMITS, type ContentLimits } from './contents.ts'
import { examineToken, type SeenLink } from './examine.ts'
import { hostsOf } from './hosts.ts'
import { pointerOf } from './pointer.ts'
import { pinnableBy, settle } from './settle.ts'
import { severalAtOnce } from './several-at-once.ts'

export interface PerformParts {
  db: Database
  pool: ProviderPool
  /** Who is asked for content, as it is when a look begins with it. */
  holders: () => Promise<readonly Holder[]>
  limits?: ContentLimits | undefined
  signal: AbortSignal
}

/** Tokens whose findings are saved together. */
const SLICE = 256
/** Tokens that are looked at at once. */
const AT_ONCE = 32
/** Then it is the turn of others: slow sources, or hostile collections, keep nobody waiting. */
const TURN_MS = 2 * MINUTE_MS
const LONGEST_REREAD_MS = HOUR_MS
const REREAD_POLL_MS = SECOND_MS / 2
/** URIs of one collection. */
const MOST_URI_BYTES = 256 * MIB

/**
 * Does what is left of a look: reads the tokens at one block, then their content, and saves what it finds slice by slice,
 * so that whoever takes it up later goes on there. Answers whether all is done, or its turn is over.
 * @throws CONFLICT when another process has taken it over; BAD_REQUEST when the chain is another one; NOT_FOUND when
 *   there is no such contract; RpcFailure; the signal's reason
 */
export async function performVerification(run: LeasedVerification, parts: PerformParts): Promise<boolean> {
  const collection = parseCollectionId(run.collection)
  const holders = await parts.holders()
  if (run.state !== 'checking') await readTokensOf(run, collection, holders, parts)
  const contents = new Contents(new CheckedSource(holders), parts.limits ?? DEFAULT_CONTENT_LIMITS)
  const end = performance.now() + TURN_MS
  for (;;) {
    parts.signal.throwIfAborted()
    const open = await openTokens(parts.db, run.id, SLICE)
    if (open.length === 0) break
    if (performance.now() > end) return false
    const found = await examineSlice(run, collection, open, { ...parts, contents, end })
    if (found === undefined) return false
    await saveFindings(parts.db, run, found)
  }
  await finishVerification(parts.db, run)
  return true
}

async function readTokensOf(
  run: LeasedVerification,
  collection: CollectionId,
  holders: readonly Holder[],
  { db, pool, signal }: PerformParts,
): Promise<void> {
  await refuseOtherChain(collection, pool, signal)
  const at = { pool, block: await blockOf(run, pool, signal), signal }
  const profile = await readContract(collection.address, at)
  await beginReading(db, run, at.block, profile)
  const { ids, fromBlock, maxTokens } = run.wanted
  const wanted: CollectionWanted = {
    ...at,
    address: collection.address,
    standard: collection.standard,
    ...(ids && { ids: ids.map(BigInt) }),
    ...(fromBlock !== undefined && { fromBlock: BigInt(fromBlock) }),
    ...(maxTokens !== undefined && { maxTokens }),
  }
  const { coverage, batches } = await enumerateTokens(wanted, profile)
  let place = 0
  let uriBytes = 0
  for await (const reads of batches) {
    const said = await readTokenExtensions(
      wanted,
      profile.standards,
      reads.map(({ id }) => id),
    )
    const tokens = reads.map((read) => foundToken(read, said.get(read.id) ?? {}, collection))
    await addTokens(db, run, place, tokens)
    place += tokens.length
    uriBytes += tokens.reduce((sum, { uri, extensions }) => sum + (uri?.length ?? 0) + (extensions?.length ?? 0), 0)
    if (uriBytes > MOST_URI_BYTES) {
      coverage.isComplete = false
      coverage.gaps.push(
        `The URIs have more than ${formatSize(MOST_URI_BYTES)}; those of further tokens were not read.`,
      )
      break
    }
  }
  await beginChecking(db, run, { coverage, sources: holders.map(({ name }) => name).sort() })
}

function foundToken(read: TokenRead, said: TokenExtensions, { standard }: CollectionId): FoundToken {
  const { pointer, uri, extensions } = pointerOf(read, said, standard === 'erc1155')
  return {
    id: pointer.id,
    kind: pointer.kind,
    uri: uri === undefined ? null : Buffer.from(uri),
    extensions: Object.keys(extensions).length === 0 ? null : Buffer.from(JSON.stringify(extensions)),
    pointer: canonicalJson(pointer as never),
  }
}

async function refuseOtherChain({ chainId }: CollectionId, pool: ProviderPool, signal: AbortSignal): Promise<void> {
  const call = { method: 'eth_chainId', params: [] }
  const found = numberOfHex(await pool.ask((provider, aborted) => provider.call(call, aborted), { signal }))
  if (found === chainId) return
  throw new HoldfastError('BAD_REQUEST', `This service reads the chain eip155:${found}, not eip155:${chainId}.`)
}

/** The block of the try before, or the one that was asked for. */
async function blockOf(run: LeasedVerification, pool: ProviderPool, signal: AbortSignal): Promise<ChainBlock> {
  const { blockNumber, blockHash, wanted } = run
  if (blockNumber !== null && blockHash !== null) return { number: BigInt(blockNumber), hash: blockHash as Hex }
  const tag = /^\d+$/.test(wanted.block) ? BigInt(wanted.block) : (wanted.block as BlockTag)
  return await pinBlock(pool, tag, { signal })
}

/** Undefined when the turn is over before the holders have read everything back. */
async function examineSlice(
  run: LeasedVerification,
  { standard }: CollectionId,
  open: readonly OpenToken[],
  { db, contents, end, signal }: PerformParts & { contents: Contents; end: number },
): Promise<FoundVerdict[] | undefined> {
  const seen = await severalAtOnce(open, AT_ONCE, (token) => {
    const { outcome } = JSON.parse(token.pointer) as Pointer
    const { uris: others = [], integrity } = JSON.parse(token.extensions?.toString('utf8') ?? '{}') as TokenExtensions
    const uri = token.uri?.toString('utf8')
    const examined = { id: BigInt(token.id), outcome, uri, others, integrity, isTemplate: standard === 'erc1155' }
    return examineToken(examined, contents, { signal })
  })
  const roots = [...new Set(seen.flat().flatMap(pinnableBy))].map(parseCid)
  const since = run.wanted.rehash === true ? run.startedAt : null
  if (since !== null && !(await areReadBack(run, since, roots, { db, end, signal }))) return undefined
  const pins = await pinsOf(db, { tenantId: run.tenantId, since }, roots)
  return open.map(({ place }, index) => foundVerdict(place, settle(seen[index] as SeenLink[], pins)))
}

/**
 * Has the holders read their copies back, and waits for it. Answers false when the turn is over before; whoever is not done
 * long after the look began is not waited for.
 */
async function areReadBack(
  { tenantId }: LeasedVerification,
  since: string,
  roots: readonly CID[],
  { db, end, signal }: { db: Database; end: number; signal: AbortSignal },
): Promise<boolean> {
  const wish = { tenantId, since, longestMs: LONGEST_REREAD_MS }
  while ((await rereadCopies(db, wish, roots)) > 0) {
    if (performance.now() > end) return false
    await pause(REREAD_POLL_MS, signal)
    signal.throwIfAborted()
  }
  return true
}

function foundVerdict(place: number, finding: Finding): FoundVerdict {
  const held = finding.links.flatMap(({ target, pin }) => (target === null ? [] : [pin?.holders.length ?? 0]))
  return {
    place,
    verdict: finding.verdict,
    finding: canonicalJson(finding as never),
    copies: held.length === 0 ? null : Math.min(...held),
    hosts: hostsOf(finding),
  }
}
