import { hash } from 'node:crypto'
import { sealUnder } from './sealed-secret.ts'

/**
 * Wraps the keys of tenants. This is all that is asked of a key management service: one implements it with calls to that
 * service, and the master key never comes here.
 */
export interface MasterKey {
  /** Tells it from other master keys, without telling the key. */
  readonly id: string
  /** @param about what the key is for; the same has to be said to unwrap it */
  wrap(key: Uint8Array, about: string): Promise<Uint8Array>
  /** The caller overwrites the answer once it is used. @throws when another master key wrapped it, or for something else */
  unwrap(wrapped: Uint8Array, about: string): Promise<Buffer>
}

/** The first one wraps; those after it are on their way out and only unwrap. */
export type MasterKeys = readonly [MasterKey, ...MasterKey[]]

/** A master key that this process has in memory (AES-256-GCM). @param key 32 bytes, used as they are from then on */
export function masterKeyOf(key: Uint8Array): MasterKey {
  const seal = sealUnder(key)
  return {
    id: hash('sha256', Buffer.concat([Buffer.from('holdfast master key '), key]), 'hex').slice(0, 16),
    wrap: (secret, about) => Promise.resolve(seal.close(secret, about)),
    unwrap: (wrapped, about) => new Promise((resolve) => resolve(seal.open(wrapped, about))),
  }
}
