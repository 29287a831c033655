import { countFlag, durationFlag, only, textFlag, type Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { note, warn } from './output.ts'
import { publishVersion, showLive } from './site-view.ts'
import { plain } from './terminal-text.ts'
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

    const listed = await listFolder(folder, signal)
    for (const name of listed.left) warn(output, `${plain(name)} is no file of this folder; it is left out.`)
    const { sendSite } = await import('./send-site.ts')
    const sent = await sendSite(listed, { site, policy: textFlag(flags, 'policy') }, invocation)
    if (sent.sentBytes === 0) note(output, 'All of it is stored already; nothing is sent.')
    const client = await invocation.api()
    const { problem } = await waitUntilPinned(client, sent.pin.requestid, { output, timeoutMs, signal })
    if (problem !== undefined) throw unpublished(problem)
    const published = await publishVersion(client, site, { pin: sent.pin.requestid, ...keep }, signal)
    showLive(output, published, { ...sent, left: listed.left })
  },
}

function unpublished({ exitCode, message }: CommandError): CommandError {
  const next = exitCode === EXIT.timeout ? ' Deploy again to publish it once it is pinned.' : ''
  return new CommandError(exitCode, `Nothing is published. ${message}${next}`)
}
