import type { Database } from '../catalog/database.ts'
import { readKnownRecord, type DueFollow } from '../catalog/follows-due.ts'
import type { SeenVersion } from '../catalog/follows-versions.ts'
import { SECOND_MS } from '../core/units.ts'
import { NameResolver, type NameResolverOptions } from '../naming/name-resolver.ts'
import { parseName } from '../naming/name.ts'
import { askInOrder, type RecordSearch, type RecordSource } from '../naming/record-source.ts'
import { revalidatedRecords } from '../naming/router-records.ts'

/** Where links of domains come from. */
export type DomainLinks = Pick<NameResolverOptions, 'lookUpTxt' | 'lookUpEns' | 'staticLinks'>

/** Of one name on the way: two nodes, each of which may look for the newest record in the network before it answers. */
const SEARCH_MS = 40 * SECOND_MS

/**
 * Where a followed name leads to now. Of an IPNS name the newest record counts that the catalog, the last look or a node
 * knows; for one whose key is here nobody is asked.
 * @throws as {@link NameResolver.resolve}
 */
export async function findTarget(
  db: Database,
  follow: Pick<DueFollow, 'name' | 'record'>,
  { gateways, links, signal }: { gateways: readonly string[]; links: DomainLinks; signal: AbortSignal },
): Promise<SeenVersion> {
  const records: RecordSearch = async function* search(name, options) {
    const known = await readKnownRecord(db, name.text)
    const seen = name.text === follow.name ? follow.record : null
    const nodes = known?.isHosted === true ? [] : gateways.map(revalidatedRecords)
    const sources = [given('catalog', known?.record), given('last look', seen), ...nodes]
    let newest
    for await (const record of askInOrder(sources)(name, options)) newest = record
    // Only the last one: whoever resolves takes the first that comes.
    if (newest !== undefined) yield newest
  }
  // For this one look: what it remembers would be served for as long as the TTL says.
  await using resolver = new NameResolver({ records, searchMs: SEARCH_MS, ...links })
  const name = parseName(follow.name)
  const { root, segments } = await resolver.resolve(name, [], { signal })
  const record = name.kind === 'key' ? (await resolver.record(name.key, { signal })).bytes : undefined
  return { target: ['/ipfs', root.toString(), ...segments].join('/'), root, record }
}

function given(label: string, record: Uint8Array | null | undefined): RecordSource {
  return { label, get: () => Promise.resolve(record ?? undefined) }
}
