import { basename, resolve } from 'node:path'
import { CID } from 'multiformats/cid'
import { parseDurationMs } from '../core/units.ts'
import type { Streamed } from './client.ts'
import { textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { kindOf, listFolder, localFile, readLocalFile } from './local-files.ts'
import { folderBody } from './multipart.ts'
import { note, print } from './output.ts'
import type { PinView } from './pin-view.ts'
import { ProgressLine } from './progress.ts'
import { waitUntilPinned } from './wait.ts'

interface Uploaded {
  cid: string
  size: number
  blocks: number
  pin: PinView
}

export const up: Command = {
  name: 'up',
  operands: '<path…>',
  summary: 'Upload files and folders, and pin them',
  options: {
    name: { type: 'string' },
    policy: { type: 'string' },
    profile: { type: 'string' },
    wait: { type: 'boolean' },
    timeout: { type: 'string', default: '30m' },
  },
  async run(invocation) {
    const { operands, output, flags } = invocation
    if (operands.length === 0) throw new CommandError(EXIT.usage, 'Name at least one file or folder.')
    const uploads: Uploaded[] = []
    for (const path of operands) {
      const uploaded = await uploadPath(path, invocation)
      if (flags['wait'] === true) uploaded.pin = await waitFor(uploaded, invocation)
      uploads.push(uploaded)
      if (!output.json)
        print(output, uploaded, ({ cid, pin }) => (output.quiet ? cid : `${cid}  ${pin.status}  ${path}`))
    }
    if (output.json) print(output, uploads.length === 1 ? uploads[0] : uploads, String)
  },
}

async function waitFor({ pin }: Uploaded, { connect, flags, output, signal }: Invocation): Promise<PinView> {
  const { client } = await connect()
  const timeoutMs = parseDurationMs(textFlag(flags, 'timeout') ?? '')
  if (timeoutMs === undefined) throw new CommandError(EXIT.usage, '--timeout takes a duration such as 90s or 30m.')
  return await waitUntilPinned(client, pin.requestid, { output, timeoutMs, signal })
}

async function uploadPath(path: string, { connect, flags, output, signal }: Invocation): Promise<Uploaded> {
  const { client } = await connect()
  using line = new ProgressLine(output)
  const query = {
    name: textFlag(flags, 'name') ?? basename(resolve(path)),
    policy: textFlag(flags, 'policy'),
    profile: textFlag(flags, 'profile'),
  }
  let sent = 0
  const { body, total, left } = await bodyOf(path, (count) => line.bytes(query.name, (sent += count), total))
  for (const name of left) note(output, `${name} is not a file inside the folder; it is left out.`)
  const uploaded = await client.upload<Uploaded>('/v1/uploads', body, { query, signal })
  CID.parse(uploaded.cid)
  return uploaded
}

async function bodyOf(
  path: string,
  onBytes: (count: number) => void,
): Promise<{ body: Streamed; total: number; left: string[] }> {
  if ((await kindOf(path)) === 'folder') {
    const folder = await listFolder(path)
    const { contentType, length, chunks } = folderBody(folder, onBytes)
    const stream = ReadableStream.from<Uint8Array>(chunks)
    return { body: { contentType, length, stream }, total: folder.sizeBytes, left: folder.left }
  }
  const file = await localFile(path)
  const contentType = path.endsWith('.car') ? 'application/vnd.ipld.car' : 'application/octet-stream'
  const stream = ReadableStream.from<Uint8Array>(readLocalFile(file, onBytes))
  return { body: { contentType, length: file.sizeBytes, stream }, total: file.sizeBytes, left: [] }
}
