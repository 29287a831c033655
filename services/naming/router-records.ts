import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { MAX_RECORD_BYTES } from './ipns-record.ts'
import type { RecordSource } from './record-source.ts'

const ANSWER_MS = 5 * SECOND_MS

/**
 * Records that a delegated router knows: https://specs.ipfs.tech/routing/http-routing-v1/#ipns-api
 * @param url of the router, without `/routing/v1`
 */
export function routerRecords(url: string): RecordSource {
  return {
    label: url,
    async get(name, { signal }) {
      const timeout = AbortSignal.timeout(ANSWER_MS)
      const response = await fetch(new URL(`/routing/v1/ipns/${name.text}`, url), {
        headers: { accept: 'application/vnd.ipfs.ipns-record' },
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
      if (response.status === 200) return await upTo(response, MAX_RECORD_BYTES)
      await response.body?.cancel()
      if (response.status === 404) return undefined
      throw new HoldfastError('UPSTREAM_FAILED', `A router answered ${response.status} for a record.`)
    },
  }
}

/** Endless answers end here. */
async function upTo(response: Response, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of response.body ?? []) {
    length += piece.length
    if (length > maxBytes) throw new HoldfastError('UPSTREAM_FAILED', `A router sent more than ${maxBytes} bytes.`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
