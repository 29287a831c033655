import { basename, resolve } from 'node:path'
import { durationFlag, some, textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { print, table } from './output.ts'
import { upload } from './upload.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

export const up: Command = {
  name: 'up',
  operands: '<path…>',
  summary: 'Upload files, folders and CARs, and pin them',
  options: {
    name: { type: 'string', help: 'name of the pin; the last part of the path when left out' },
    policy: { type: 'string', help: 'replication policy' },
    profile: { type: 'string', help: 'unixfs-v1-2025 (default) or unixfs-v0-2015' },
    ...WAIT_OPTIONS,
  },
  async run(invocation) {
    const paths = some(invocation.operands, 'file or folder')
    const timeoutMs = durationFlag(invocation.flags, 'timeout')
    if (paths.length > 1 && invocation.flags['name'] !== undefined) {
      throw new CommandError(EXIT.usage, '--name goes with one path only.')
    }
    for (const path of paths) await uploadAndShow(path, timeoutMs, invocation)
  },
}

async function uploadAndShow(path: string, timeoutMs: number, invocation: Invocation): Promise<void> {
  const { flags, output, signal } = invocation
  const { left, ...uploaded } = await upload(
    path,
    {
      name: textFlag(flags, 'name') ?? (basename(resolve(path)) || undefined),
      policy: textFlag(flags, 'policy'),
      profile: textFlag(flags, 'profile'),
    },
    invocation,
  )
  const client = await invocation.api()
  const waited =
    flags['wait'] === true
      ? await waitUntilPinned(client, uploaded.pin.requestid, { output, timeoutMs, signal })
      : { pin: uploaded.pin, problem: undefined }
  print(output, { path, ...uploaded, pin: waited.pin, left }, ({ cid, pin }) =>
    output.quiet ? cid : table(output, [], [[cid, pin.status, path]]),
  )
  if (waited.problem !== undefined) throw waited.problem
}
