import { hash } from 'node:crypto'
import { bytesUpTo } from '../core/bounded-bytes.ts'
import { HoldfastError } from '../core/errors.ts'
import { KIB, SECOND_MS } from '../core/units.ts'
import type { MasterKey } from './master-key.ts'

const ANSWER_MS = 5 * SECOND_MS
const MAX_ANSWER_BYTES = 64 * KIB
const RETRY_SECONDS = 5

export interface VaultOptions {
  /** Asked for before each call: agents renew tokens. Undefined: an agent in between adds it. */
  token: () => Promise<string | undefined>
}

/**
 * A master key in the transit engine of Vault or OpenBao: keys of tenants are sent there to be wrapped and unwrapped. It must
 * be one of AES-GCM or ChaCha20-Poly1305, which bind what a key is for (`associated_data`).
 * https://developer.hashicorp.com/vault/api-docs/secret/transit
 * @param text `vault://host:port/mount/key`, `vault+http://…` without TLS, perhaps with `?namespace=`
 * @throws CONFIG, without the text; its calls UNAVAILABLE when the service does not answer, or refuses
 */
export function vaultKey(text: string, { token }: VaultOptions): MasterKey {
  const { base, mount, key, namespace } = placeOf(text)
  const call = async (verb: 'encrypt' | 'decrypt', body: object): Promise<Record<string, unknown>> => {
    const held = await token()
    const headers = {
      'content-type': 'application/json',
      'x-vault-request': 'true',
      ...(held !== undefined && { 'x-vault-token': held }),
      ...(namespace !== null && { 'x-vault-namespace': namespace }),
    }
    return await ask(`${base}/v1/${mount}/${verb}/${key}`, { headers, body: JSON.stringify(body) })
  }
  return {
    id: hash('sha256', `holdfast vault key ${base} ${namespace ?? ''} ${mount} ${key}`, 'hex').slice(0, 16),
    async wrap(secret, about) {
      const { ciphertext } = await call('encrypt', { plaintext: base64(secret), associated_data: base64(about) })
      if (typeof ciphertext !== 'string') throw unusable()
      return Buffer.from(ciphertext)
    },
    async unwrap(wrapped, about) {
      const ciphertext = Buffer.from(wrapped).toString()
      const { plaintext } = await call('decrypt', { ciphertext, associated_data: base64(about) })
      if (typeof plaintext !== 'string') throw unusable()
      return Buffer.from(plaintext, 'base64')
    },
  }
}

function placeOf(text: string): { base: string; mount: string; key: string; namespace: string | null } {
  const url = URL.parse(text.replace(/^vault:/, 'vault+https:').slice('vault+'.length))
  const segments = url?.pathname.split('/').filter((segment) => segment !== '') ?? []
  const key = segments.pop()
  if (url === null || url.username !== '' || key === undefined || segments.length === 0) {
    throw new HoldfastError('CONFIG', 'A master key in Vault is named as vault://host:port/mount/key.')
  }
  return { base: url.origin, mount: segments.join('/'), key, namespace: url.searchParams.get('namespace') }
}

async function ask(
  url: string,
  { headers, body }: { headers: Record<string, string>; body: string },
): Promise<Record<string, unknown>> {
  const { status, text } = await post(url, { headers, body })
  if (status !== 200) throw refusal(status)
  try {
    return (JSON.parse(text) as { data: Record<string, unknown> }).data
  } catch (cause) {
    throw unusable(cause)
  }
}

async function post(
  url: string,
  { headers, body }: { headers: Record<string, string>; body: string },
): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal })
    const tooLong = (): Error => new Error('The answer is too long.')
    const text = await bytesUpTo(response.body ?? new ReadableStream<Uint8Array>(), MAX_ANSWER_BYTES, tooLong)
    return { status: response.status, text: text.toString('utf8') }
  } catch (cause) {
    throw unavailable('The key service that holds the master key does not answer.', cause)
  }
}

/** 403 for a token, 400 for what was wrapped elsewhere or for something else, 503 while it is sealed. */
function refusal(status: number): HoldfastError {
  if (status === 403) return unavailable('The key service that holds the master key refuses the token of this process.')
  if (status === 400) return unavailable('The key service that holds the master key cannot open this key.')
  return unavailable(`The key service that holds the master key answers ${status}.`)
}

function unusable(cause?: unknown): HoldfastError {
  return unavailable('The key service that holds the master key answers what cannot be read.', cause)
}

function unavailable(sentence: string, cause?: unknown): HoldfastError {
  return new HoldfastError('UNAVAILABLE', sentence, { cause, retryAfterSeconds: RETRY_SECONDS })
}

function base64(value: Uint8Array | string): string {
  return Buffer.from(value as string).toString('base64')
}
