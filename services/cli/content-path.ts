import { CommandError, EXIT } from './exit-codes.ts'

/** A content path: the text of a root CID, and names below it. */
export interface ContentPath {
  root: string
  segments: string[]
}

/**
 * Reads `CID/path`, `/ipfs/CID/path` and `ipfs://CID/path`. Only the last is a URI, with percent-encoding, and with a
 * query and a fragment, which say nothing about content.
 * @throws CommandError with `usage` for `ipns://`, for bad percent-encoding, and when there is no CID
 */
export function contentPath(text: string): ContentPath {
  const uri = /^ipfs:\/\/(?:ipfs\/)?([^?#]*)/i.exec(text)?.[1]
  if (/^(ipns:\/\/|\/ipns\/)/i.test(text)) {
    throw new CommandError(EXIT.usage, `${text} is a name, not content; name the CID that it stands for.`)
  }
  const path = uri ?? text.replace(/^\/ipfs\//, '')
  const [root = '', ...segments] = path.split('/').filter((segment) => segment !== '')
  if (root === '') throw new CommandError(EXIT.usage, `${JSON.stringify(text)} names no CID.`)
  return { root, segments: uri === undefined ? segments : segments.map((segment) => decode(segment, text)) }
}

function decode(segment: string, text: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${text} is not percent-encoded as a URI must be.`, { cause })
  }
}
