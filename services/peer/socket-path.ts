import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Where the peer of the node with that folder listens. Paths of sockets are limited to about 100 bytes; a folder with a
 * longer one has its socket elsewhere.
 */
export function peerSocket(folder: string): string {
  const inside = join(folder, 'peer.sock')
  if (Buffer.byteLength(inside) <= 100) return inside
  return join(tmpdir(), `holdfast-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}.sock`)
}
