import { pinsOf } from '../catalog/pins-evidence.ts'
import type { Database } from '../catalog/database.ts'
import {
  addTokens,
  beginChecking,
  beginReading,
  finishVerification,
  openTokens,
  saveFindings,
  type FoundVerdict,
  type LeasedVerification,
  type OpenToken,
} from '../catalog/verifications-work.ts'
import { readContract } from '../chain/contract-profile.ts'
import { enumerateTokens } from '../chain/enumerate.ts'
import { numberOfHex, type Hex } from '../chain/hex.ts'
import { pinBlock, type BlockTag, type ChainBlock } from '../chain/pin-block.ts'
import type { ProviderPool } from '../chain/provider-pool.ts'
import { parseCid } from '../core/cid.ts'
import { parseCollectionId, type CollectionId } from '../core/collection-id.ts'
import { canonicalJson } from '../core/collection-report/canonical-json.ts'
import type { Finding, Pointer } from '../core/collection-report/finding.ts'
import { HoldfastError } from '../core/errors.ts'
import { formatSize, MIB, MINUTE_MS } from '../core/units.ts'
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
    await saveFindings(parts.db, run, await examineSlice(run, collection, open, contents, parts))
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
  const { coverage, batches } = await enumerateTokens(
    {
      ...at,
      address: collection.address,
      standard: collection.standard,
      ...(ids && { ids: ids.map(BigInt) }),
      ...(fromBlock !== undefined && { fromBlock: BigInt(fromBlock) }),
      ...(maxTokens !== undefined && { maxTokens }),
    },
    profile,
  )
  let place = 0
  let uriBytes = 0
  for await (const reads of batches) {
    const tokens = reads.map((read) => {
      const { pointer, uri } = pointerOf(read, collection.standard === 'erc1155')
      const { id, kind } = pointer
      return { id, kind, uri: uri === undefined ? null : Buffer.from(uri), pointer: canonicalJson({ ...pointer }) }
    })
    await addTokens(db, run, place, tokens)
    place += tokens.length
    uriBytes += tokens.reduce((sum, { uri }) => sum + (uri?.length ?? 0), 0)
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

async function examineSlice(
  run: LeasedVerification,
  { standard }: CollectionId,
  open: readonly OpenToken[],
  contents: Contents,
  { db, signal }: PerformParts,
): Promise<FoundVerdict[]> {
  const seen = await severalAtOnce(open, AT_ONCE, (token) => {
    const { outcome } = JSON.parse(token.pointer) as Pointer
    const uri = token.uri?.toString('utf8')
    return examineToken({ id: BigInt(token.id), outcome, uri, isTemplate: standard === 'erc1155' }, contents, {
      signal,
    })
  })
  const roots = new Set(seen.flat().flatMap(pinnableBy))
  const pins = await pinsOf(db, run.tenantId, [...roots].map(parseCid))
  return open.map(({ place }, index) => foundVerdict(place, settle(seen[index] as SeenLink[], pins)))
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
