import { parseCid } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import type { Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { carOf, type FolderDag } from './folder-dag.ts'
import { GatewaySource } from './gateway-source.ts'
import { gatewaysOf } from './get-content.ts'
import type { Body } from './http-exchange.ts'
import type { LocalFolder } from './list-folder.ts'
import { missingBlocks } from './missing-blocks.ts'
import { folderBody } from './multipart.ts'
import type { PinView } from './pin-view.ts'
import { sendBody } from './upload.ts'

/** A smaller folder is sent sooner than it is compared. */
const WORTH_COMPARING_BYTES = MIB

/** Something pinned that the folder may have much in common with. */
export interface EarlierVersion {
  cid: string
  /** The id of its pin. */
  pin: string
}

export interface Sending {
  /** Of the pin. */
  name: string
  policy: string | undefined
  earlier: () => Promise<EarlierVersion | undefined>
  /** Whether a pin of the same content under the same name and policy will do. @default false: it gets one of its own */
  sharesPin?: boolean
}

export interface SentFolder {
  cid: string
  pin: PinView
  /** Of the body that was sent; 0 when everything was there. */
  sentBytes: number
}

/**
 * Brings a folder to the service, as little of it as is needed: nothing when the account has it pinned, only new blocks when
 * an earlier version is there, else all of it.
 */
export async function sendFolder(
  folder: LocalFolder,
  dag: FolderDag,
  sending: Sending,
  invocation: Invocation,
): Promise<SentFolder> {
  const { signal } = invocation
  const { name, policy } = sending
  const client = await invocation.api()
  const cid = dag.root.toString()
  const query = { cid, status: 'pinned', limit: 1, ...(sending.sharesPin === true && { name }) }
  const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
  const [pinned] = results
  if (pinned !== undefined) {
    const isWanted = policy === undefined || pinned.info?.['policy'] === policy
    if (sending.sharesPin === true && isWanted) return { cid, pin: pinned, sentBytes: 0 }
    const body = { cid, name, ...(policy !== undefined && { meta: { policy } }) }
    return { cid, pin: await client.post<PinView>('/psa/pins', body, { signal }), sentBytes: 0 }
  }
  const send = async (body: Body, more: { base?: string } = {}): Promise<SentFolder> => {
    const uploaded = await sendBody(name, body, { name, policy, ...more }, invocation)
    return { cid: uploaded.cid, pin: uploaded.pin, sentBytes: body.length }
  }
  const part = folder.sizeBytes < WORTH_COMPARING_BYTES ? undefined : await partOf(folder, dag, sending, invocation)
  try {
    if (part !== undefined) return await send(part.body, { base: part.base })
  } catch (error) {
    // The version that it is compared with may be gone from the node since.
    if (!(error instanceof CommandError) || error.exitCode !== EXIT.notFound) throw error
  }
  return await send(folderBody(folder))
}

/** What is new since an earlier version; undefined when there is none, or it cannot be read. */
async function partOf(
  folder: LocalFolder,
  dag: FolderDag,
  { earlier }: Sending,
  invocation: Invocation,
): Promise<{ body: Body; base: string } | undefined> {
  const { signal } = invocation
  const version = await earlier()
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
