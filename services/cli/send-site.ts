import { parseCid } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import type { Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { carOf, dagOf, type FolderDag } from './folder-dag.ts'
import { GatewaySource } from './gateway-source.ts'
import { gatewaysOf } from './get-content.ts'
import type { Body } from './http-exchange.ts'
import type { LocalFolder } from './list-folder.ts'
import { missingBlocks } from './missing-blocks.ts'
import { folderBody } from './multipart.ts'
import type { PinView } from './pin-view.ts'
import { sitePath, type SiteWithVersions } from './site-view.ts'
import { sendBody } from './upload.ts'

/** A smaller folder is sent sooner than it is compared. */
const WORTH_COMPARING_BYTES = MIB

export interface SentSite {
  cid: string
  pin: PinView
  /** Of the body that was sent; 0 when everything was there. */
  sentBytes: number
}

/**
 * Brings a folder to the service, as little of it as is needed, with a pin of its own: nothing when the account has it
 * pinned, only new blocks when an earlier version of the site is kept, else all of it.
 */
export async function sendSite(
  folder: LocalFolder,
  { site, policy }: { site: string; policy: string | undefined },
  invocation: Invocation,
): Promise<SentSite> {
  const { signal } = invocation
  const client = await invocation.api()
  const dag = await dagOf(folder, signal)
  const cid = dag.root.toString()
  const query = { cid, status: 'pinned', limit: 1 }
  const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
  if (results.length > 0) {
    const body = { cid, name: site, ...(policy !== undefined && { meta: { policy } }) }
    return { cid, pin: await client.post<PinView>('/psa/pins', body, { signal }), sentBytes: 0 }
  }
  const send = async (body: Body, more: { base?: string } = {}): Promise<SentSite> => {
    const uploaded = await sendBody(site, body, { name: site, policy, ...more }, invocation)
    return { cid: uploaded.cid, pin: uploaded.pin, sentBytes: body.length }
  }
  const part =
    folder.sizeBytes < WORTH_COMPARING_BYTES ? undefined : await partOf(folder, dag, site, client, invocation)
  try {
    if (part !== undefined) return await send(part.body, { base: part.base })
  } catch (error) {
    // The version that it is compared with may be gone from the node since.
    if (!(error instanceof CommandError) || error.exitCode !== EXIT.notFound) throw error
  }
  return await send(folderBody(folder))
}

/** What is new since a version of the site that is kept; undefined when there is none, or it cannot be read. */
async function partOf(
  folder: LocalFolder,
  dag: FolderDag,
  site: string,
  client: ApiClient,
  invocation: Invocation,
): Promise<{ body: Body; base: string } | undefined> {
  const { signal } = invocation
  const version = await keptVersion(client, site, signal)
  if (version === undefined) return undefined
  try {
    await using source = new GatewaySource(await gatewaysOf(invocation), '', signal, { isSparse: true })
    const missing = await missingBlocks(dag, parseCid(version.cid), source, signal)
    if (missing.size === dag.entries.size) return undefined
    return { body: carOf(folder, dag.root, missing, signal), base: version.pin }
  } catch (error) {
    signal.throwIfAborted()
    if (hasCode(error) || error instanceof CommandError) return undefined
    throw error
  }
}

async function keptVersion(
  client: ApiClient,
  site: string,
  signal: AbortSignal,
): Promise<{ cid: string; pin: string } | undefined> {
  try {
    const { versions } = await client.get<SiteWithVersions>(sitePath(site), { signal })
    const kept = versions.find(({ pin }) => pin?.status === 'pinned')
    const cid = /^\/ipfs\/([^/]+)$/.exec(kept?.value ?? '')?.[1]
    return kept?.pin && cid !== undefined ? { cid, pin: kept.pin.requestid } : undefined
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === EXIT.notFound) return undefined
    throw error
  }
}
