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
  { output, signal, api }: Invocation,
): Promise<Uploaded & { left: string[] }> {
  const { body, total, left } = await bodyOf(path, signal)
  const client = await api()
  for (const name of left) warn(output, `${plain(name)} is no file of this folder; it is left out.`)
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
