import type { ApiClient } from './client.ts'
import { countFlag, durationFlag, only, textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { note, warn } from './output.ts'
import type { PinView } from './pin-view.ts'
import { publishVersion, showLive } from './site-view.ts'
import { plain } from './terminal-text.ts'
import { upload } from './upload.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

export const deploy: Command = {
  name: 'deploy',
  operands: '<folder>',
  summary: 'Upload a website, wait until it is pinned, and publish it under its name',
  options: {
    name: { type: 'string', help: 'what you call the site; it is made when there is none' },
    policy: { type: 'string', help: 'replication policy' },
    keep: { type: 'string', help: 'versions that stay pinned, this one among them (5)' },
    timeout: WAIT_OPTIONS.timeout,
  },
  async run(invocation) {
    const { operands, flags, output, signal } = invocation
    const folder = only(operands, 'the folder of the site')
    const site = textFlag(flags, 'name')
    if (site === undefined) throw new CommandError(EXIT.usage, 'Say what the site is called with --name.')
    const timeoutMs = durationFlag(flags, 'timeout')
    const keep = flags['keep'] === undefined ? {} : { keep: countFlag(flags, 'keep') }
    if ((await lookAt(folder)).kind !== 'folder') throw new CommandError(EXIT.usage, `${folder} is no folder.`)

    const client = await invocation.api()
    const sent = await send(folder, { site, policy: textFlag(flags, 'policy') }, client, invocation)
    const { problem } = await waitUntilPinned(client, sent.pin.requestid, { output, timeoutMs, signal })
    if (problem !== undefined) throw unpublished(problem)
    const published = await publishVersion(client, site, { pin: sent.pin.requestid, ...keep }, signal)
    showLive(output, published, { ...sent })
  },
}

interface Sent {
  cid: string
  pin: PinView
  /** False when all of it was there already. */
  uploaded: boolean
  left: string[]
}

/** Content that the account has pinned is pinned once more for the site, without being sent. */
async function send(
  folder: string,
  { site, policy }: { site: string; policy: string | undefined },
  client: ApiClient,
  invocation: Invocation,
): Promise<Sent> {
  const { output, signal } = invocation
  const listed = await listFolder(folder, signal)
  const { rootOfFolder } = await import('./folder-root.ts')
  const cid = await rootOfFolder(listed, signal)
  const query = { cid, status: 'pinned', limit: 1 }
  const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
  if (results.length === 0) {
    const { pin, left, ...answer } = await upload(folder, { name: site, policy }, invocation)
    return { cid: answer.cid, pin, uploaded: true, left }
  }
  for (const name of listed.left) warn(output, `${plain(name)} is no file of this folder; it is left out.`)
  note(output, 'All of it is stored already; nothing is sent.')
  const body = { cid, name: site, ...(policy !== undefined && { meta: { policy } }) }
  const pin = await client.post<PinView>('/psa/pins', body, { signal })
  return { cid, pin, uploaded: false, left: listed.left }
}

function unpublished({ exitCode, message }: CommandError): CommandError {
  const next = exitCode === EXIT.timeout ? ' Deploy again to publish it once it is pinned.' : ''
  return new CommandError(exitCode, `Nothing is published. ${message}${next}`)
}
