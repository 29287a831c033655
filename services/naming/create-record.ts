import { IPNSEntry } from '@helia/ipns'
import { encode as encodeDagCbor } from '@ipld/dag-cbor'
import { IDENTITY } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { MAX_RECORD_BYTES, signedBytes, type IpnsRecord } from './ipns-record.ts'
import type { SigningKey } from './signing-key.ts'
import { parseTarget } from './target.ts'

/** The end of the last year that RFC 3339 can write. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
/** The largest sequence and TTL that we write. Records may have 64 bits, but boxo (Kubo) reads signed ones. */
const MAX_INT64 = 0x7fff_ffff_ffff_ffffn
const NS_PER_MS = 1_000_000n

export interface NewRecord {
  /** What the name shall point to: `/ipfs/{cid}[/…]` or `/ipns/{name}[/…]`, not percent-encoded. It is signed as it stands. */
  value: string
  /** 0 to 2^63 - 1; higher than that of any record before. */
  sequence: bigint
  /** The end of the record in milliseconds since 1970. No clock is read here: whoever publishes answers for the time. */
  validUntilMs: number
  ttlMs: number
  /** Leaves out the fields for software from before 2021; default false. */
  onlyVersion2?: boolean
  /** Further facts to be signed with the record (commit, deployment); the keys begin with `_`. */
  metadata?: Readonly<Record<string, string | number | boolean | Uint8Array>>
}

/**
 * Makes and signs a record.
 * @throws BAD_REQUEST for numbers or keys of metadata that a record cannot hold; INVALID_RECORD when it would be larger
 *   than records may be; NAME_NOT_RESOLVED when the value is no content path
 */
export function createIpnsRecord(key: SigningKey, wanted: NewRecord): IpnsRecord {
  check(wanted)
  const { sequence, validUntilMs, onlyVersion2 = false, metadata } = wanted
  const value = Buffer.from(wanted.value)
  const validity = Buffer.from(new Date(validUntilMs).toISOString().replace('Z', '000000Z'))
  const ttlNs = BigInt(wanted.ttlMs) * NS_PER_MS
  const data = encodeDagCbor({
    ...metadata,
    Value: value,
    Validity: validity,
    ValidityType: 0,
    Sequence: sequence,
    TTL: ttlNs,
  })
  const bytes = IPNSEntry.encode({
    ...(onlyVersion2 ? {} : version1(key, { value, validity, sequence, ttlNs })),
    // The key of an Ed25519 or secp256k1 name is in the name.
    ...(key.name.multihash.code === IDENTITY ? {} : { publicKey: key.publicKey }),
    signatureV2: key.sign(signedBytes(data)),
    data: new Uint8Array(data),
  })
  if (bytes.length > MAX_RECORD_BYTES) {
    throw new HoldfastError('INVALID_RECORD', `An IPNS record may have at most ${MAX_RECORD_BYTES} bytes.`)
  }
  return { bytes, value, sequence, validUntilNs: BigInt(validUntilMs) * NS_PER_MS, ttlNs }
}

/** The fields that old software reads, and the signature that it checks; they repeat what `data` says. */
function version1(
  key: SigningKey,
  said: { value: Buffer<ArrayBuffer>; validity: Buffer<ArrayBuffer>; sequence: bigint; ttlNs: bigint },
): Partial<IPNSEntry> {
  const { value, validity, sequence, ttlNs: ttl } = said
  const signatureV1 = key.sign(Buffer.concat([value, validity, Buffer.from('EOL')]))
  return { value, validity, validityType: IPNSEntry.ValidityType.EOL, sequence, ttl, signatureV1 }
}

function check({ value, sequence, validUntilMs, ttlMs, metadata = {} }: NewRecord): void {
  parseTarget(value)
  if (sequence < 0n || sequence > MAX_INT64) throw unwritable('sequence')
  if (!Number.isSafeInteger(validUntilMs) || validUntilMs < 0 || validUntilMs > LAST_MS) throw unwritable('validity')
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 0 || BigInt(ttlMs) * NS_PER_MS > MAX_INT64) throw unwritable('TTL')
  if (Object.keys(metadata).some((name) => !name.startsWith('_'))) throw unwritable('metadata')
}

function unwritable(what: string): HoldfastError {
  return new HoldfastError('BAD_REQUEST', `A record cannot have this ${what}.`)
}
