import { randomBytes } from 'node:crypto'
import { readLocalFile, type LocalFolder } from './local-files.ts'

/** A folder as one multipart body: a part per file, its filename the path below the folder, percent-encoded. */
export interface FolderBody {
  contentType: string
  length: number
  chunks: AsyncGenerator<Uint8Array>
}

/** Small files are joined to chunks of this size: one chunk a file would be one trip through the stream each. */
const CHUNK_BYTES = 256 * 1_024

export function folderBody(folder: LocalFolder, onBytes: (count: number) => void): FolderBody {
  const boundary = `holdfast-${randomBytes(18).toString('base64url')}`
  const heads = [
    ...folder.emptyFolders.map((name) => ({
      file: undefined,
      head: partHead(boundary, name, 'application/x-directory'),
    })),
    ...folder.files.map((file) => ({ file, head: partHead(boundary, file.name, 'application/octet-stream') })),
  ]
  const end = Buffer.from(`--${boundary}--\r\n`)
  const overhead = heads.reduce((sum, { head }) => sum + head.length + CRLF.length, end.length)

  async function* parts(): AsyncGenerator<Uint8Array> {
    for (const { file, head } of heads) {
      yield head
      if (file !== undefined) yield* readLocalFile(file, onBytes)
      yield CRLF
    }
    yield end
  }
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    length: overhead + folder.sizeBytes,
    chunks: joined(parts()),
  }
}

const CRLF = Buffer.from('\r\n')

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
