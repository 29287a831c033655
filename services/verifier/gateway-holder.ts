import type { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Holder } from './checked-source.ts'

const RAW_TYPE = 'application/vnd.ipld.raw'
const SILENCE_MS = 20 * SECOND_MS
/** A failure's body is read for its code only. */
const MOST_WORDS = 1_000

/**
 * A node of ours, asked by its trustless gateway (https://specs.ipfs.tech/http-gateways/trustless-gateway/). What it does
 * not hold it takes from the other nodes, and from the public network where it may.
 */
export function gatewayHolder(name: string, gateway: string): Holder {
  const base = gateway.replace(/\/+$/, '')
  return {
    name,
    async get(cid, { signal }) {
      const limit = AbortSignal.timeout(SILENCE_MS)
      const response = await fetch(`${base}/ipfs/${cidKey(cid)}?format=raw`, {
        headers: { accept: RAW_TYPE },
        redirect: 'error',
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      })
      if (response.ok) return await blockOf(cid, response)
      const words = (await response.text()).slice(0, MOST_WORDS)
      if (response.status === 404) return undefined
      if (words.startsWith('CORRUPT_BLOCK')) throw new HoldfastError('CORRUPT_BLOCK', words)
      throw new HoldfastError('UPSTREAM_FAILED', `The node ${name} answered ${response.status}.`)
    },
  }
}

async function blockOf(cid: CID, { body }: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.length
    if (length > MAX_BLOCK_BYTES) throw new HoldfastError('BLOCK_TOO_LARGE', `Block ${cid.toString()} is too large.`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}
