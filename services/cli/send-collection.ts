import type { BuildView } from './build-view.ts'
import type { Invocation } from './command.ts'
import type { CommandError } from './exit-codes.ts'
import type { PinView } from './pin-view.ts'
import type { PreparedCollection, PreparedFolder } from './prepare-collection.ts'
import { sendFolder, type EarlierVersion, type SentFolder } from './send-folder.ts'
import { waitUntilPinned } from './wait.ts'

/**
 * Sends both folders, of what an earlier build under the name has nothing, and waits until they are pinned. Tells in `view`
 * what was sent, and answers why it did not end well.
 */
export async function sendCollection(
  view: BuildView,
  { assets, metadata }: PreparedCollection,
  { name, policy, timeoutMs }: { name: string; policy: string | undefined; timeoutMs: number },
  invocation: Invocation,
): Promise<CommandError | undefined> {
  const { output, signal } = invocation
  const client = await invocation.api()
  const sendPart = async (prepared: PreparedFolder, part: string): Promise<SentFolder> => {
    const pinName = `${name} ${part}`
    const earlier = async (): Promise<EarlierVersion | undefined> => {
      const query = { name: pinName, status: 'pinned', limit: 1 }
      const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
      return results[0] && { cid: results[0].pin.cid, pin: results[0].requestid }
    }
    const { folder, dag } = prepared
    return await sendFolder(folder, dag, { name: pinName, policy, earlier, sharesPin: true }, invocation)
  }
  const parts = [
    { prepared: assets, part: 'assets', seen: view.assets },
    { prepared: metadata, part: 'metadata', seen: view.metadata },
  ]
  for (const { prepared, part, seen } of parts) {
    if (prepared === undefined || seen === null) continue
    Object.assign(seen, await sendPart(prepared, part))
  }
  for (const { seen } of parts) {
    if (seen?.pin == null) continue
    const { pin, problem } = await waitUntilPinned(client, seen.pin.requestid, { output, timeoutMs, signal })
    seen.pin = pin
    if (problem !== undefined) return problem
  }
  return undefined
}
