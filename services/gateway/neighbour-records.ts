import type { Abortable } from '../core/block-source.ts'
import { SECOND_MS } from '../core/units.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import { MAX_RECORD_BYTES, verifyIpnsRecord, type IpnsRecord } from '../naming/ipns-record.ts'
import { newerRecord } from '../naming/newer-record.ts'
import type { RecordSource } from '../naming/record-source.ts'
import { MEDIA_TYPE_OF } from './format.ts'
import { ROUTING_PATH } from './routing.ts'

/** A name is not held up by a node that does not answer. */
const ASK_MS = 2 * SECOND_MS

/**
 * Records that other nodes of the cluster keep: all are asked at once for what is on their own disks, and the newest
 * valid answer is taken.
 * @param gateways URLs of their gateways. Read at each use
 */
export function neighbourRecords(gateways: () => readonly string[]): RecordSource {
  return {
    label: 'cluster',
    async get(name, { signal }) {
      const within = AbortSignal.any([AbortSignal.timeout(ASK_MS), ...(signal === undefined ? [] : [signal])])
      const answers = await Promise.all(gateways().map((gateway) => recordAt(gateway, name, { signal: within })))
      signal?.throwIfAborted()
      const found = answers.filter((record) => record !== undefined)
      return found.length === 0 ? undefined : found.reduce(newerRecord).bytes
    },
  }
}

/** Undefined when the node has none, fails, or says what is not true. */
async function recordAt(gateway: string, name: IpnsName, { signal }: Abortable): Promise<IpnsRecord | undefined> {
  try {
    const response = await fetch(`${gateway}${ROUTING_PATH}ipns/${name.text}`, {
      headers: { accept: MEDIA_TYPE_OF['ipns-record'], 'cache-control': 'only-if-cached' },
      redirect: 'error',
      ...(signal === undefined ? {} : { signal }),
    })
    const length = Number(response.headers.get('content-length') ?? Number.NaN)
    if (response.status !== 200 || !(length <= MAX_RECORD_BYTES)) {
      await response.body?.cancel()
      return undefined
    }
    return verifyIpnsRecord(name, new Uint8Array(await response.arrayBuffer()))
  } catch {
    return undefined
  }
}
