import { randomUUIDv7 } from 'node:crypto'
import type { Database } from '../catalog/database.ts'
import type { HeldName, KeptRecord } from '../catalog/ipns-names.ts'
import type { MasterKeys } from '../catalog/master-key.ts'
import { sealNameKey, withNameKey } from '../catalog/name-keys.ts'
import { changeRecord, createName, type Decide, type SavedName } from '../catalog/names.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { createIpnsRecord } from '../naming/create-record.ts'
import { parseIpnsName, type IpnsName } from '../naming/ipns-name.ts'
import { decodeIpnsRecord, validateIpnsRecord, type IpnsRecord } from '../naming/ipns-record.ts'
import { compareRecords } from '../naming/newer-record.ts'
import { generateSigningKey, importSigningKey, type SigningKey } from '../naming/signing-key.ts'
import { parseTarget, shownTarget } from '../naming/target.ts'
import type { NewName, NewValue } from './names-schema.ts'

export interface NameStore {
  db: Database
  /** Undefined: no private keys are kept here. */
  masters?: MasterKeys | undefined
}

interface Lengths {
  ttlMs: number
  lifetimeMs: number
}

/**
 * Makes a name of the account: with a new or imported key, or one whose key is elsewhere.
 * @returns its text
 * @throws BAD_REQUEST, INVALID_NAME, INVALID_RECORD; CONFLICT when the account has it; NOT_IMPLEMENTED without a master key
 */
export async function addName(store: NameStore, tenantId: number, wanted: NewName): Promise<string> {
  return wanted.mode === 'hosted' ? await addHosted(store, tenantId, wanted) : await addOthers(store, tenantId, wanted)
}

async function addHosted({ db, masters }: NameStore, tenantId: number, wanted: NewName): Promise<string> {
  if (wanted.name !== undefined) throw bad('A hosted name is that of its key; leave `name` out.')
  const key = wanted.key === undefined ? generateSigningKey() : keyIn(wanted.key)
  const value = wanted.value === undefined ? undefined : targetPath(wanted.value, key.name)
  const given = wanted.record === undefined ? undefined : Buffer.from(wanted.record, 'base64')
  const id = randomUUIDv7()
  const secret = key.exportSecret()
  const sealedKey = await sealNameKey(db, keysOf(masters), { tenantId, nameId: id }, secret).finally(() =>
    secret.fill(0),
  )
  const lengths = lengthsOf(wanted)
  const { label = null } = wanted
  await createName(
    db,
    tenantId,
    { id, name: key.name.text, label, mode: 'hosted', ...lengths, isNewKey: wanted.key === undefined, sealedKey },
    (held) => {
      const known = given === undefined ? undefined : newerOf(key.name, given, held)
      if (value === undefined) return known
      return signed(
        key,
        { value, ...lengths },
        known === undefined ? held : { ...held, sequence: known.sequence, record: known },
      )
    },
  )
  return key.name.text
}

async function addOthers({ db }: NameStore, tenantId: number, wanted: NewName): Promise<string> {
  if (wanted.key !== undefined || wanted.value !== undefined) throw bad('Only hosted names have a key or a value.')
  if (wanted.name === undefined) throw bad('Say which name it is.')
  const name = parseIpnsName(wanted.name)
  const given = wanted.record === undefined ? undefined : Buffer.from(wanted.record, 'base64')
  const { label = null, mode } = wanted
  const made = { id: randomUUIDv7(), name: name.text, label, mode, ...lengthsOf(wanted) }
  await createName(db, tenantId, made, (held) => (given === undefined ? undefined : newerOf(name, given, held)))
  return name.text
}

/**
 * Publishes a value under the next sequence.
 * @returns the name with that record
 * @throws CONFLICT when the sequence is another than the expected one; BAD_REQUEST for what is no content path and for
 *   names whose key is elsewhere
 */
export async function publishValue(
  { db, masters }: NameStore,
  tenantId: number,
  { saved, wanted, expected }: { saved: SavedName; wanted: NewValue; expected: string | undefined },
): Promise<SavedName> {
  if (saved.mode !== 'hosted') {
    throw bad('The key of this name is not here. Sign a record and PUT it to /v1/names/{name}/records.')
  }
  const value = targetPath(wanted.value, parseIpnsName(saved.name))
  const ttlMs = wanted.ttlSeconds === undefined ? saved.ttlMs : wanted.ttlSeconds * SECOND_MS
  const lifetimeMs = wanted.lifetimeSeconds === undefined ? saved.lifetimeMs : wanted.lifetimeSeconds * SECOND_MS
  return await withNameKey(db, keysOf(masters), { tenantId, nameId: saved.id }, async (secret) => {
    const key = importSigningKey(secret)
    return await changeRecord(
      db,
      tenantId,
      saved,
      expecting(expected, (held) => signed(key, { value, ttlMs, lifetimeMs }, held)),
    )
  })
}

/**
 * Takes a record that the owner of the key signed; the very same one again changes nothing.
 * @throws INVALID_RECORD; CONFLICT when a newer one is known, or the sequence is another than the expected one
 */
export async function publishRecord(
  { db }: NameStore,
  tenantId: number,
  { saved, bytes, expected }: { saved: SavedName; bytes: Uint8Array; expected: string | undefined },
): Promise<SavedName> {
  const name = parseIpnsName(saved.name)
  return await changeRecord(
    db,
    tenantId,
    saved,
    expecting(expected, (held) => newerOf(name, bytes, held)),
  )
}

/** The private key in libp2p's form, base64. @throws NOT_FOUND when it is not here */
export async function exportKey({ db, masters }: NameStore, tenantId: number, saved: SavedName): Promise<string> {
  const at = { tenantId, nameId: saved.id }
  return await withNameKey(db, keysOf(masters), at, (secret) => Buffer.from(secret).toString('base64'))
}

function signed(
  key: SigningKey,
  { value, ttlMs, lifetimeMs }: Lengths & { value: string },
  held: HeldName,
): KeptRecord {
  const validUntilMs = Math.floor(held.nowMs) + lifetimeMs
  return kept(createIpnsRecord(key, { value, ttlMs, sequence: held.sequence + 1n, validUntilMs }))
}

/** Undefined for the record that is known already. */
function newerOf(name: IpnsName, bytes: Uint8Array, held: HeldName): KeptRecord | undefined {
  const record = validateIpnsRecord(name, bytes, held.nowMs)
  const order = held.record === undefined ? 1 : compareRecords(record, decodeIpnsRecord(held.record.bytes))
  if (order < 0 || (held.record === undefined && record.sequence < held.sequence)) {
    throw new HoldfastError('CONFLICT', `A newer record is known, with the sequence ${held.sequence}.`)
  }
  return order === 0 ? undefined : kept(record)
}

function expecting(expected: string | undefined, decide: Decide): Decide {
  return (held) => {
    if (expected !== undefined && expected !== held.sequence.toString()) {
      throw new HoldfastError('CONFLICT', `The name is at the sequence ${held.sequence}, not ${expected}.`)
    }
    return decide(held)
  }
}

function kept(record: IpnsRecord): KeptRecord {
  const { bytes, sequence, validUntilNs, ttlNs } = record
  return { bytes, sequence, validUntilNs, ttlNs, target: shownTarget(record) }
}

/** @throws BAD_REQUEST when it is no content path, or leads back to the name itself */
function targetPath(value: string, own: IpnsName): string {
  const path = value.startsWith('/') ? value : `/ipfs/${value}`
  try {
    const target = parseTarget(path)
    const isItself = target.namespace === 'ipns' && target.name.kind === 'key' && target.name.key.text === own.text
    if (isItself) throw bad('A name cannot point to itself.')
    return path
  } catch (cause) {
    if (hasCode(cause, 'NAME_NOT_RESOLVED'))
      throw bad(cause.message.replace('The name points to', 'The value is'), cause)
    throw cause
  }
}

function keyIn(base64: string): SigningKey {
  const bytes = Buffer.from(base64, 'base64')
  try {
    return importSigningKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

function keysOf(masters: MasterKeys | undefined): MasterKeys {
  if (masters !== undefined) return masters
  throw new HoldfastError('NOT_IMPLEMENTED', 'Hosted names need HOLDFAST_MASTER_KEY on the control plane.')
}

function lengthsOf({ ttlSeconds, lifetimeSeconds }: NewName): Lengths {
  return { ttlMs: ttlSeconds * SECOND_MS, lifetimeMs: lifetimeSeconds * SECOND_MS }
}

function bad(sentence: string, cause?: unknown): HoldfastError {
  return new HoldfastError('BAD_REQUEST', sentence, { cause })
}
