import { basename, resolve } from 'node:path'
import { durationFlag, some, textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { folderBody } from './multipart.ts'
import { print, table, warn } from './output.ts'
import type { PinView } from './pin-view.ts'
import type { Body } from './http-exchange.ts'
import { ProgressLine } from './progress.ts'
import { readLocalFile } from './read-local-file.ts'
import { plain } from './terminal-text.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

interface Uploaded {
  cid: string
  /** Bytes of the content. */
  size: number
  blocks: number
  pin: PinView
}

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
  const { left, ...uploaded } = await upload(path, invocation)
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

/** Sends what the path names. `left` tells what of a folder was not sent. */
async function upload(
  path: string,
  { flags, output, signal, api }: Invocation,
): Promise<Uploaded & { left: string[] }> {
  const { body, total, left } = await bodyOf(path, signal)
  const client = await api()
  for (const name of left) warn(output, `${plain(name)} is no file of this folder; it is left out.`)
  const query = {
    name: textFlag(flags, 'name') ?? (basename(resolve(path)) || undefined),
    policy: textFlag(flags, 'policy'),
    profile: textFlag(flags, 'profile'),
  }
  using line = new ProgressLine(output)
  const chunks = counted(body.chunks, (sent) => line.bytes(path, Math.min(sent, total), total))
  return { ...(await client.upload<Uploaded>('/v1/uploads', { ...body, chunks }, { query, signal })), left }
}

async function bodyOf(path: string, signal: AbortSignal): Promise<{ body: Body; total: number; left: string[] }> {
  const found = await lookAt(path)
  if (found.kind === 'folder') {
    const folder = await listFolder(path, signal)
    const body = folderBody(folder)
    return { body, total: body.length, left: folder.left }
  }
  const { file } = found
  const contentType = path.endsWith('.car') ? 'application/vnd.ipld.car' : 'application/octet-stream'
  const body = { contentType, length: file.sizeBytes, chunks: readLocalFile(file) }
  return { body, total: file.sizeBytes, left: [] }
}

async function* counted(chunks: Body['chunks'], onBytes: (sent: number) => void): AsyncGenerator<Uint8Array> {
  let sent = 0
  for await (const chunk of chunks) {
    yield chunk
    onBytes((sent += chunk.length))
  }
}
