import { formatSize } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { table } from './output.ts'

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
  policy: { name: string }
  replicas: ReplicaView[]
  explain: { phase: string; [detail: string]: unknown }
}

interface ReplicaView {
  node: string
  region: string
  state: string
  bytes?: number | null
  blocks?: number | null
  verifiedAt?: string | null
  error?: string | null
}

/** The pin that a request id, or a CID, names. With several pins of a CID it is the newest. */
export async function findPin(client: ApiClient, idOrCid: string, signal: AbortSignal): Promise<PinDetails> {
  const id = isRequestId(idOrCid) ? idOrCid : await newestOf(client, idOrCid, signal)
  return await client.get<PinDetails>(`/v1/pins/${encodeURIComponent(id)}`, { signal })
}

export function isRequestId(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)
}

/** `ipfs://CID`, `/ipfs/CID` and the bare CID are the same to a person. */
export function bareCid(text: string): string {
  return text.replace(/^ipfs:\/\//, '').replace(/^\/ipfs\//, '')
}

async function newestOf(client: ApiClient, cid: string, signal: AbortSignal): Promise<string> {
  const query = { cid: bareCid(cid), status: 'queued,pinning,pinned,failed', limit: 1 }
  const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
  const newest = results[0]
  if (newest === undefined) throw new CommandError(EXIT.notFound, `You have no pin of ${cid}.`)
  return newest.requestid
}

export function pinRow({ requestid, status, created, pin }: PinView): string[] {
  return [pin.cid, status, pin.name ?? '', created.slice(0, 19).replace('T', ' '), requestid]
}

export const PIN_HEADINGS = ['CID', 'STATUS', 'NAME', 'CREATED', 'REQUEST ID']

/** Everything that tells why a pin is where it is. */
export function explainPin(pin: PinDetails): string {
  const { phase, ...details } = pin.explain
  const lines = Object.entries(details)
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => `${spaced(name)}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return [
    `${pin.pin.cid}${pin.pin.name === undefined ? '' : ` (${pin.pin.name})`} is ${pin.status}`,
    `policy: ${pin.policy.name}, phase: ${phase}`,
    ...lines,
    '',
    table(['NODE', 'REGION', 'STATE', 'BYTES', 'BLOCKS', 'VERIFIED', 'ERROR'], pin.replicas.map(replicaRow)),
  ].join('\n')
}

function replicaRow({ node, region, state, bytes, blocks, verifiedAt, error }: ReplicaView): string[] {
  const size = bytes === null || bytes === undefined ? '' : formatSize(bytes)
  return [
    node,
    region,
    state,
    size,
    String(blocks ?? ''),
    (verifiedAt ?? '').slice(0, 19).replace('T', ' '),
    error ?? '',
  ]
}

function spaced(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
