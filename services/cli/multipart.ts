import { randomBytes } from 'node:crypto'
import { KIB } from '../core/units.ts'
import type { LocalFolder } from './list-folder.ts'
import type { Body } from './http-exchange.ts'
import { readLocalFile } from './read-local-file.ts'

/** Small files are joined to chunks of this size: one chunk a file would be one trip through the stream each. */
const CHUNK_BYTES = 256 * KIB
const CRLF = Buffer.from('\r\n')

/** A folder as one form (RFC 7578): a part for each file, its filename the path below the folder, percent-encoded. */
export function folderBody(folder: LocalFolder): Body {
  const boundary = `holdfast-${randomBytes(18).toString('base64url')}`
  const emptyFolder = (name: string): Buffer => partHead(boundary, name, 'application/x-directory')
  const file = (name: string): Buffer => partHead(boundary, name, 'application/octet-stream')
  const end = Buffer.from(`--${boundary}--\r\n`)

  let length = folder.sizeBytes + end.length
  for (const name of folder.emptyFolders) length += emptyFolder(name).length + CRLF.length
  for (const { name } of folder.files) length += file(name).length + CRLF.length

  async function* parts(): AsyncGenerator<Uint8Array> {
    for (const name of folder.emptyFolders) {
      yield emptyFolder(name)
      yield CRLF
    }
    for (const local of folder.files) {
      yield file(local.name)
      yield* readLocalFile(local)
      yield CRLF
    }
    yield end
  }
  return { contentType: `multipart/form-data; boundary=${boundary}`, length, chunks: joined(parts()) }
}

function partHead(boundary: string, name: string, type: string): Buffer {
  const filename = name.split('/').map(encodeURIComponent).join('/')
  return Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: ${type}\r\n\r\n`,
  )
}

async function* joined(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let size = 0
  for await (const part of parts) {
    waiting.push(part)
    size += part.length
    if (size < CHUNK_BYTES) continue
    yield Buffer.concat(waiting)
    waiting = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(waiting)
}
