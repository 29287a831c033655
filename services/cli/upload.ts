import type { Invocation } from './command.ts'
import type { Body } from './http-exchange.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { folderBody } from './multipart.ts'
import { warn } from './output.ts'
import type { PinView } from './pin-view.ts'
import { ProgressLine } from './progress.ts'
import { readLocalFile } from './read-local-file.ts'
import { plain } from './terminal-text.ts'

export interface Uploaded {
  cid: string
  /** Bytes of the content. */
  size: number
  blocks: number
  pin: PinView
}

/** Sends what the path names. `left` tells what of a folder was not sent. */
export async function upload(
  path: string,
  query: { name: string | undefined; policy: string | undefined; profile?: string | undefined },
  invocation: Invocation,
): Promise<Uploaded & { left: string[] }> {
  const { body, left } = await bodyOf(path, invocation.signal)
  for (const name of left) warn(invocation.output, `${plain(name)} is no file of this folder; it is left out.`)
  return { ...(await sendBody(path, body, query, invocation)), left }
}

/** Sends a body that is to be pinned, and shows how far it is. */
export async function sendBody(
  label: string,
  body: Body,
  query: Record<string, string | undefined>,
  { output, signal, api }: Invocation,
): Promise<Uploaded> {
  const client = await api()
  using line = new ProgressLine(output)
  const total = body.length
  const chunks = counted(body.chunks, (sent) => line.bytes(label, Math.min(sent, total), total))
  return await client.upload<Uploaded>('/v1/uploads', { ...body, chunks }, { query, signal })
}

async function bodyOf(path: string, signal: AbortSignal): Promise<{ body: Body; left: string[] }> {
  const found = await lookAt(path)
  if (found.kind === 'folder') {
    const folder = await listFolder(path, signal)
    return { body: folderBody(folder), left: folder.left }
  }
  const { file } = found
  const contentType = path.endsWith('.car') ? 'application/vnd.ipld.car' : 'application/octet-stream'
  return { body: { contentType, length: file.sizeBytes, chunks: readLocalFile(file) }, left: [] }
}

async function* counted(chunks: Body['chunks'], onBytes: (sent: number) => void): AsyncGenerator<Uint8Array> {
  let sent = 0
  for await (const chunk of chunks) {
    yield chunk
    onBytes((sent += chunk.length))
  }
}
