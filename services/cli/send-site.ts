import type { ApiClient } from './client.ts'
import type { Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { dagOf } from './folder-dag.ts'
import type { LocalFolder } from './list-folder.ts'
import { sendFolder, type EarlierVersion, type SentFolder } from './send-folder.ts'
import { sitePath, type SiteWithVersions } from './site-view.ts'

/** Brings a folder to the service as a version of a site, with a pin of its own; of what a version has that is kept, nothing. */
export async function sendSite(
  folder: LocalFolder,
  { site, policy }: { site: string; policy: string | undefined },
  invocation: Invocation,
): Promise<SentFolder> {
  const { signal } = invocation
  const client = await invocation.api()
  const earlier = (): Promise<EarlierVersion | undefined> => keptVersion(client, site, signal)
  return await sendFolder(folder, await dagOf(folder, signal), { name: site, policy, earlier }, invocation)
}

async function keptVersion(client: ApiClient, site: string, signal: AbortSignal): Promise<EarlierVersion | undefined> {
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
