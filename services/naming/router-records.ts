import { bytesUpTo } from '../core/bounded-bytes.ts'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { MAX_RECORD_BYTES } from './ipns-record.ts'
import type { IpnsName } from './ipns-name.ts'
import type { RecordSource } from './record-source.ts'

const ANSWER_MS = 5 * SECOND_MS
/** One of our nodes that is told to look for the newest record gives up after 10 seconds. */
const REVALIDATED_MS = 15 * SECOND_MS
/** A router may itself tell a DHT before it answers. */
const TAKE_MS = 30 * SECOND_MS
const RECORD_TYPE = 'application/vnd.ipfs.ipns-record'

/**
 * Records that a delegated router knows: https://specs.ipfs.tech/routing/http-routing-v1/#ipns-api
 * @param url of the router, without `/routing/v1`
 */
export function routerRecords(url: string): RecordSource {
  return recordsAt(url, { headers: { accept: RECORD_TYPE }, timeoutMs: ANSWER_MS })
}

/** Likewise, but the router looks for the newest record before it answers, whatever it has in its cache. */
export function revalidatedRecords(url: string): RecordSource {
  return recordsAt(url, { headers: { accept: RECORD_TYPE, 'cache-control': 'no-cache' }, timeoutMs: REVALIDATED_MS })
}

function recordsAt(
  url: string,
  { headers, timeoutMs }: { headers: Record<string, string>; timeoutMs: number },
): RecordSource {
  return {
    label: url,
    async get(name, { signal }) {
      const timeout = AbortSignal.timeout(timeoutMs)
      const response = await fetch(new URL(`/routing/v1/ipns/${name.text}`, url), {
        headers,
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
      if (response.status === 200 && response.body !== null) {
        return await bytesUpTo(response.body, MAX_RECORD_BYTES, endless)
      }
      await response.body?.cancel()
      if (response.status === 404) return undefined
      throw new HoldfastError('UPSTREAM_FAILED', `A router answered ${response.status} for a record.`)
    },
  }
}

/**
 * Puts a record to a delegated router.
 * @throws UPSTREAM_FAILED, TIMED_OUT; the signal's reason
 */
export async function putToRouter(
  url: string,
  name: IpnsName,
  record: Uint8Array,
  { signal, timeoutMs = TAKE_MS }: { signal: AbortSignal; timeoutMs?: number },
): Promise<void> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(new URL(`/routing/v1/ipns/${name.text}`, url), {
      method: 'PUT',
      headers: { 'content-type': RECORD_TYPE },
      body: Buffer.from(record),
      redirect: 'error',
      signal: AbortSignal.any([signal, timeout]),
    })
    await response.body?.cancel()
    if (!response.ok) throw new HoldfastError('UPSTREAM_FAILED', `The router answered ${response.status}.`)
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof HoldfastError) throw cause
    if (timeout.aborted) throw new HoldfastError('TIMED_OUT', 'The router did not answer in time.', { cause })
    throw new HoldfastError('UPSTREAM_FAILED', 'The router could not be reached.', { cause })
  }
}

function endless(): HoldfastError {
  return new HoldfastError('UPSTREAM_FAILED', `A router sent more than ${MAX_RECORD_BYTES} bytes.`)
}
