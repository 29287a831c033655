import { decode as decodeDagCbor } from '@ipld/dag-cbor'
import { IDENTITY } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { KIB } from '../core/units.ts'
import type { IpnsName } from './ipns-name.ts'
import { readFields } from './protobuf.ts'
import { isSignature, multihashOf, parsePublicKey, type PublicKey } from './public-key.ts'
import { parseRfc3339 } from './rfc3339.ts'

/** Records of IPNS: https://specs.ipfs.tech/ipns/ipns-record/ */

/** "Implementations MUST reject records larger than 10 KiB." */
export const MAX_RECORD_BYTES = 10 * KIB
const MAX_UINT64 = 0xffff_ffff_ffff_ffffn
/** What a record without TTL is taken to say, in nanoseconds: a minute. */
const DEFAULT_TTL_NS = 60_000_000_000n
const NS_PER_MS = 1_000_000n
const EMPTY = new Uint8Array(0)
const SIGNATURE_PREFIX = Buffer.from('ipns-signature:')

/** What a record says. All of it stands in the part that its signature covers. */
export interface IpnsRecord {
  /** The record exactly as it was received or made; it is never encoded anew. */
  readonly bytes: Uint8Array
  /** What the name points to: a content path in UTF-8 or a binary CID; see `targetOfRecord`. */
  readonly value: Uint8Array
  /** 0 to 2^64 - 1. */
  readonly sequence: bigint
  /** Its end (EOL), in nanoseconds since 1970. */
  readonly validUntilNs: bigint
  /** How long it may be taken for the newest without asking again, in nanoseconds; owners write anything up to 2^64 - 1. */
  readonly ttlNs: bigint
}

/** The fields of the protobuf message. Those of version 1 are there for old software; only `data` is signed. */
interface Envelope {
  value?: Uint8Array
  signatureV1?: Uint8Array
  validityType?: bigint
  validity?: Uint8Array
  sequence?: bigint
  ttl?: bigint
  publicKey?: Uint8Array
  signatureV2?: Uint8Array
  data?: Uint8Array
}

const BYTES_FIELDS = {
  1: 'value',
  2: 'signatureV1',
  4: 'validity',
  7: 'publicKey',
  8: 'signatureV2',
  9: 'data',
} as const
const VARINT_FIELDS = { 3: 'validityType', 5: 'sequence', 6: 'ttl' } as const

/**
 * Reads a record without asking who signed it and when it ends: for records that were verified before, and for showing.
 * @throws INVALID_RECORD when it is over 10 KiB, malformed, without `data` or `signatureV2`, or says one thing in its
 *   signed data and another in the fields for old software
 */
export function decodeIpnsRecord(bytes: Uint8Array): IpnsRecord {
  return open(bytes).record
}

/**
 * Reads a record that the name's owner signed; it may have ended.
 * @throws INVALID_RECORD as {@link decodeIpnsRecord}, and when the signature or the key is not that of the name
 */
export function verifyIpnsRecord(name: IpnsName, bytes: Uint8Array): IpnsRecord {
  const { record, data, signature, publicKey } = open(bytes)
  if (!isSignature(keyOf(name, publicKey), signedBytes(data), signature)) {
    throw invalid('is not signed by the owner of the name')
  }
  return record
}

/**
 * Reads a record that the name's owner signed and that has not ended.
 * @param nowMs milliseconds since 1970
 * @throws INVALID_RECORD as {@link verifyIpnsRecord}, and when it ended before `nowMs`
 */
export function validateIpnsRecord(name: IpnsName, bytes: Uint8Array, nowMs: number): IpnsRecord {
  const record = verifyIpnsRecord(name, bytes)
  if (hasEnded(record, nowMs)) throw invalid('has expired; its owner has to publish again')
  return record
}

/** What the signature of version 2 is over. */
export function signedBytes(data: Uint8Array): Uint8Array {
  return Buffer.concat([SIGNATURE_PREFIX, data])
}

/** Whether the record's validity is over. */
export function hasEnded(record: IpnsRecord, nowMs: number): boolean {
  return record.validUntilNs < BigInt(Math.floor(nowMs)) * NS_PER_MS
}

/** The last millisecond (since 1970) of the record's validity. */
export function validUntilMs(record: IpnsRecord): number {
  return Number(record.validUntilNs / NS_PER_MS)
}

/** The TTL in milliseconds. */
export function ttlMs(record: IpnsRecord): number {
  return Number(record.ttlNs / NS_PER_MS)
}

interface Opened {
  record: IpnsRecord
  data: Uint8Array
  signature: Uint8Array
  publicKey: Uint8Array | undefined
}

function open(received: Uint8Array): Opened {
  if (received.length > MAX_RECORD_BYTES) throw invalid(`is larger than ${MAX_RECORD_BYTES} bytes`)
  // A copy, so that neither the sender's buffer is kept nor its later content can change the record.
  const bytes = new Uint8Array(received)
  const envelope = readEnvelope(bytes)
  const { data, signatureV2: signature, publicKey } = envelope
  if (signature === undefined || signature.length === 0) throw invalid('has no signature of version 2')
  if (data === undefined || data.length === 0) throw invalid('has no signed data')
  const signed = readData(data)
  checkVersion1(envelope, signed)
  const { value, sequence, ttl: ttlNs = DEFAULT_TTL_NS } = signed
  const validUntilNs = parseRfc3339(Buffer.from(signed.validity).toString('latin1'))
  if (validUntilNs === undefined) throw invalid('ends at no valid time')
  return { record: { bytes, value, sequence, validUntilNs, ttlNs }, data, signature, publicKey }
}

function readEnvelope(bytes: Uint8Array): Envelope {
  const envelope: Envelope = {}
  try {
    for (const { number, value } of readFields(bytes)) {
      if (number in BYTES_FIELDS) {
        if (typeof value === 'bigint') throw new RangeError('A varint stands where bytes belong.')
        envelope[BYTES_FIELDS[number as keyof typeof BYTES_FIELDS]] = value
      } else if (number in VARINT_FIELDS) {
        if (typeof value !== 'bigint') throw new RangeError('Bytes stand where a varint belongs.')
        envelope[VARINT_FIELDS[number as keyof typeof VARINT_FIELDS]] = value
      }
    }
  } catch (cause) {
    throw invalid('is not well-formed protobuf', cause)
  }
  return envelope
}

interface SignedData {
  value: Uint8Array
  validity: Uint8Array
  sequence: bigint
  ttl: bigint | undefined
}

function readData(data: Uint8Array): SignedData {
  let fields: Record<string, unknown>
  try {
    fields = decodeDagCbor(data)
  } catch (cause) {
    // Among the causes: nesting deeper than the stack.
    throw invalid('holds data that is not well-formed DAG-CBOR', cause)
  }
  if (typeof fields !== 'object' || fields === null) throw invalid('holds data that is not a map')
  if (uintIn(fields, 'ValidityType') !== 0n) throw invalid('has a validity that is not a time')
  const value = bytesIn(fields, 'Value')
  const validity = bytesIn(fields, 'Validity')
  const sequence = uintIn(fields, 'Sequence')
  if (value === undefined || validity === undefined || sequence === undefined)
    throw invalid('lacks a field in its data')
  return { value, validity, sequence, ttl: uintIn(fields, 'TTL') }
}

function bytesIn(fields: Record<string, unknown>, key: string): Uint8Array | undefined {
  if (!Object.hasOwn(fields, key)) return undefined
  const value = fields[key]
  if (!(value instanceof Uint8Array)) throw invalid(`has a ${key} that is not bytes`)
  return value
}

function uintIn(fields: Record<string, unknown>, key: string): bigint | undefined {
  if (!Object.hasOwn(fields, key)) return undefined
  const value = fields[key]
  const isInteger = typeof value === 'bigint' || Number.isInteger(value)
  const number = isInteger ? BigInt(value as bigint | number) : -1n
  if (number < 0n || number > MAX_UINT64) throw invalid(`has a ${key} that is no unsigned integer of 64 bits`)
  return number
}

/**
 * "If the protobuf contains the legacy `signatureV1` or `value`: ensure that value, validityType, validity, sequence
 * and ttl match those in the CBOR." The signature of version 1 itself is never looked at.
 */
function checkVersion1(envelope: Envelope, signed: SignedData): void {
  const { value = EMPTY, signatureV1 = EMPTY, validity = EMPTY, validityType = 0n, sequence = 0n, ttl = 0n } = envelope
  if (value.length === 0 && signatureV1.length === 0) return
  const matches =
    Buffer.compare(value, signed.value) === 0 &&
    Buffer.compare(validity, signed.validity) === 0 &&
    validityType === 0n &&
    sequence === signed.sequence &&
    ttl === signed.ttl
  if (!matches) throw invalid('says one thing to old software and another in its signed data')
}

/** Reading a key costs a third of a check, and a search checks the records of one name from many peers. */
const keys = new WeakMap<IpnsName, PublicKey>()

/** The key that must have signed: the one in the name, or the one in the record if the name is its hash. */
function keyOf(name: IpnsName, embedded: Uint8Array | undefined): PublicKey {
  const { multihash } = name
  const isEmbedded = embedded !== undefined && embedded.length > 0
  // An embedded key is anybody's until its multihash is the name.
  if (isEmbedded && Buffer.compare(multihashOf(embedded).bytes, multihash.bytes) !== 0) {
    throw invalid('carries the key of another name')
  }
  if (!isEmbedded && multihash.code !== IDENTITY) throw invalid('lacks the public key of its name')
  const key = keys.get(name) ?? parsePublicKey(isEmbedded ? embedded : multihash.digest)
  keys.set(name, key)
  return key
}

function invalid(what: string, cause?: unknown): HoldfastError {
  return new HoldfastError('INVALID_RECORD', `The IPNS record ${what}.`, { cause })
}
