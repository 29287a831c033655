import type { BuildView, FolderView } from './build-view.ts'
import type { ApiClient } from './client.ts'
import type { Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { PinView } from './pin-view.ts'
import type { PreparedCollection, PreparedFolder } from './prepare-collection.ts'
import { sendFolder, type EarlierVersion } from './send-folder.ts'
import { waitUntilPinned } from './wait.ts'

/**
 * Sends both folders, of what an earlier build under the name has nothing, and waits until they are pinned. Tells in `view`
 * what was sent, and answers why it did not end well.
 * @throws CommandError when a folder is not what it was when its CID was told
 */
export async function sendCollection(
  view: BuildView,
  { assets, metadata }: PreparedCollection,
  { name, policy, timeoutMs }: { name: string; policy: string | undefined; timeoutMs: number },
  invocation: Invocation,
): Promise<CommandError | undefined> {
  const { output, signal } = invocation
  const client = await invocation.api()
  // The metadata comes last: it names the assets.
  for (const [prepared, seen, what] of [
    [assets, view.assets, 'assets'],
    [metadata, view.metadata, 'metadata'],
  ] as const) {
    if (prepared !== undefined && seen !== null) {
      await sendPart(prepared, seen, { client, pinName: `${name} ${what}`, policy }, invocation)
    }
  }
  for (const seen of [view.assets, view.metadata]) {
    if (seen === null || seen.pin === null) continue
    const { pin, problem } = await waitUntilPinned(client, seen.pin.requestid, { output, timeoutMs, signal })
    seen.pin = pin
    if (problem !== undefined) return problem
  }
  return undefined
}

async function sendPart(
  { folder, dag }: PreparedFolder,
  seen: FolderView,
  { client, pinName, policy }: { client: ApiClient; pinName: string; policy: string | undefined },
  invocation: Invocation,
): Promise<void> {
  const earlier = async (): Promise<EarlierVersion | undefined> => {
    const query = { name: pinName, status: 'pinned', limit: 1 }
    const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal: invocation.signal })
    return results[0] && { cid: results[0].pin.cid, pin: results[0].requestid }
  }
  const sent = await sendFolder(folder, dag, { name: pinName, policy, earlier, sharesPin: true }, invocation)
  if (sent.cid !== seen.cid) {
    throw new CommandError(EXIT.failure, `The files changed since ${seen.cid} was reckoned; build again.`)
  }
  seen.sentBytes = sent.sentBytes
  seen.pin = sent.pin
}
