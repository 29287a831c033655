import type { ApiClient } from './client.ts'
import { contentPath } from './content-path.ts'
import { CommandError, EXIT } from './exit-codes.ts'

/** A pin as the Pinning Service API answers it. */
export interface PinView {
  requestid: string
  status: 'queued' | 'pinning' | 'pinned' | 'failed'
  created: string
  pin: { cid: string; name?: string; meta?: Record<string, string> }
  delegates: string[]
  info?: Record<string, string>
}

/** A pin with its copies, as `GET /v1/pins/{requestid}` answers it. */
export interface PinDetails extends PinView {
  policy: { name: string; spec: { copies: { min: number; target: number } } }
  replicas: ReplicaView[]
  explain: Explanation
}

export interface ReplicaView {
  node: string
  region: string
  state: 'allocated' | 'stored' | 'verified' | 'failed' | 'lost' | 'releasing'
  /** Of the whole DAG; null until somebody measured it. */
  bytes: number | null
  blocks: number | null
  doneBytes: number
  doneBlocks: number
  phase: string | null
  attempts: number
  verifiedAt: string | null
  error: string | null
  nextTryMs: number | null
}

interface Explanation {
  phase: 'placing' | 'waiting' | 'fetching' | 'verifying' | 'pinned' | 'healing' | 'failed'
  progress: { verified: number; doneBytes: number; totalBytes: number | null }
  waitsFor: string[]
  lastError: { node: string; code: string; message: string } | null
  nextTryMs: number | null
}

/** The statuses of a list that shall show everything. */
export const ALL_STATUSES = 'queued,pinning,pinned,failed'

/** The pin that a request id, or a CID, names. With several pins of a CID it is the newest. */
export async function findPin(client: ApiClient, idOrCid: string, signal: AbortSignal): Promise<PinDetails> {
  const id = isRequestId(idOrCid) ? idOrCid : await newestOf(client, rootOf(idOrCid), signal)
  return await client.get<PinDetails>(`/v1/pins/${id}`, { signal })
}

export function isRequestId(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)
}

/**
 * The CID that a person names as such, as `ipfs://…` or as `/ipfs/…`.
 * @throws CommandError with `usage` for a path below a CID: pins are of whole DAGs
 */
export function rootOf(text: string): string {
  const { root, segments } = contentPath(text)
  if (segments.length > 0) {
    throw new CommandError(EXIT.usage, `${text} is a path; only a CID by itself can be pinned or looked for.`)
  }
  return root
}

async function newestOf(client: ApiClient, cid: string, signal: AbortSignal): Promise<string> {
  const query = { cid, status: ALL_STATUSES, limit: 1 }
  const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
  const newest = results[0]
  if (newest === undefined) throw new CommandError(EXIT.notFound, `You have no pin of ${cid}.`)
  return newest.requestid
}

export const PIN_HEADINGS = ['CID', 'STATUS', 'NAME', 'CREATED', 'REQUEST ID']

export function pinRow({ requestid, status, created, pin }: PinView): string[] {
  return [pin.cid, status, pin.name ?? '', toSecond(created), requestid]
}

/** `2026-01-02 03:04:05`, UTC. */
export function toSecond(timestamp: string): string {
  return timestamp.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length).replace('T', ' ')
}
