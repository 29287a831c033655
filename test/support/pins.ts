import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { NewPin } from '../../services/catalog/pins.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { RAW, SHA2_256 } from '../../services/core/cid.ts'
import { freshDatabase, type FreshDatabase } from './postgres.ts'

/** A root that depends on the text alone. */
export function cidOf(text: string, code = RAW): CID {
  return CID.createV1(code, create(SHA2_256, createHash('sha256').update(text).digest()))
}

export function newPin(text: string, more: Partial<NewPin> = {}): NewPin {
  const cid = cidOf(text)
  return { cid, cidText: cid.toString(), ...more }
}

/** A database with the system's policies, and the tenants `alice` and `bob`. */
export async function withTenants(): Promise<{ db: FreshDatabase; alice: number; bob: number } & AsyncDisposable> {
  const db = await freshDatabase()
  await ensureDefaultPolicy(db)
  const [alice, bob] = [await ensureTenant(db, 'alice'), await ensureTenant(db, 'bob')]
  return { db, alice, bob, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() }
}
