import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { IPNSEntry } from '@helia/ipns'
import * as fc from 'fast-check'
import { HoldfastError } from '../../services/core/errors.ts'
import { nameOfMultihash, parseIpnsName } from '../../services/naming/ipns-name.ts'
import { decodeIpnsRecord, hasEnded, validateIpnsRecord, verifyIpnsRecord } from '../../services/naming/ipns-record.ts'
import { typedBytes } from '../../services/naming/protobuf.ts'
import { multihashOf, publicKeyProtobuf, RSA } from '../../services/naming/public-key.ts'
import { generateSigningKey, importSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { failsWith } from '../support/dag.ts'
import { CONTENT, DAY_MS, NOW_MS, recordOf, recordWith, soundData } from '../support/naming.ts'

const FIXTURES = new URL('../fixtures/naming/', import.meta.url)
const KEY_TYPES = ['ed25519', 'secp256k1', 'rsa'] as const

// The records of the official gateway suite: those it wants refused say so in their names.
for (const file of readdirSync(FIXTURES).filter((file) => file.endsWith('.ipns-record'))) {
  const [key = '', note = ''] = file.replace('.ipns-record', '').split('_', 2)
  const isRefused = ['v1', 'v1-v2-broken-v1-value', 'v1-v2-broken-signature-v2'].includes(note)
  test(`the suite's record ${file} is ${isRefused ? 'refused' : 'valid'}`, () => {
    const bytes = readFileSync(new URL(file, FIXTURES))
    const validate = () => validateIpnsRecord(parseIpnsName(key), bytes, NOW_MS)
    if (isRefused) assert.throws(validate, failsWith('INVALID_RECORD'))
    else assert.deepEqual(Buffer.from(validate().bytes), bytes)
  })
}

interface KuboRecords {
  /** libp2p private keys by the name of the key, base64. */
  keys: Record<string, string>
  records: {
    key: string
    v1: boolean
    name: string
    value: string
    sequence: string
    validity: string
    ttlNs: string
    record: string
  }[]
}

const kubo = JSON.parse(readFileSync(new URL('kubo-records.json', FIXTURES), 'utf8')) as KuboRecords

for (const made of kubo.records) {
  const versions = made.v1 ? 'V1+V2' : 'V2-only'
  test(`a ${versions} record of Kubo with ${made.key}, sequence ${made.sequence}, says here what it says there`, () => {
    const record = validateIpnsRecord(parseIpnsName(made.name), Buffer.from(made.record, 'base64'), NOW_MS)
    assert.equal(Buffer.from(record.value).toString(), made.value)
    assert.equal(record.sequence, BigInt(made.sequence))
    assert.equal(record.ttlNs, BigInt(made.ttlNs))
    const fraction = /\.(\d+)Z$/.exec(made.validity)?.[1] ?? '0'
    assert.equal(record.validUntilNs % 1_000_000_000n, BigInt(fraction.padEnd(9, '0')))
    assert.equal(record.validUntilNs / 1_000_000_000n, BigInt(Math.floor(Date.parse(made.validity) / 1_000)))
  })
}

for (const [type, secret] of Object.entries(kubo.keys)) {
  test(`a private key of Kubo, ${type}, has its name here and is exported as it came`, () => {
    const key = importSigningKey(Buffer.from(secret, 'base64'))
    assert.equal(key.name.text, kubo.records.find((made) => made.key === type)?.name)
    assert.equal(Buffer.from(key.exportSecret()).toString('base64'), secret)
  })
}

for (const type of KEY_TYPES) {
  for (const onlyVersion2 of [false, true]) {
    test(`a record made with ${type}, ${onlyVersion2 ? 'V2-only' : 'V1+V2'}, is valid and says what was asked`, () => {
      const key = generateSigningKey(type)
      const value = `${CONTENT}/a b /ü/`
      const sequence = 2n ** 63n - 1n
      const made = recordOf(key, { value, sequence, ttlMs: 90_000, onlyVersion2, metadata: { _commit: 'abc' } })
      const read = validateIpnsRecord(key.name, made.bytes, NOW_MS)
      assert.deepEqual({ ...read, value: Buffer.from(read.value) }, { ...made, value: Buffer.from(value) })
      assert.equal(read.sequence, sequence)
      assert.equal(read.ttlNs, 90_000_000_000n)
      assert.equal(read.validUntilNs, BigInt(NOW_MS + DAY_MS) * 1_000_000n)
      assert.equal(IPNSEntry.decode(made.bytes).signatureV1 === undefined, onlyVersion2)
    })
  }
}

const UNWRITABLE: [what: string, wanted: Parameters<typeof recordOf>[1]][] = [
  ['a negative sequence', { sequence: -1n }],
  ['a sequence that Kubo cannot read', { sequence: 2n ** 63n }],
  ['a validity that is no time', { validUntilMs: Number.NaN }],
  ['a validity after the year 9999', { validUntilMs: Date.UTC(10_000, 0, 1) }],
  ['a negative TTL', { ttlMs: -1 }],
  ['metadata under a reserved name', { metadata: { Value: 'x' } }],
]

for (const [what, wanted] of UNWRITABLE) {
  test(`a record with ${what} is not made`, () => {
    assert.throws(() => recordOf(generateSigningKey(), wanted), failsWith('BAD_REQUEST'))
  })
}

test('a record that points to no content path is not made, nor one over 10 KiB', () => {
  const key = generateSigningKey()
  assert.throws(() => recordOf(key, { value: 'https://example.com' }), failsWith('NAME_NOT_RESOLVED'))
  assert.throws(() => recordOf(key, { value: `${CONTENT}/${'a'.repeat(10_240)}` }), failsWith('INVALID_RECORD'))
})

test('a record is valid to the very end of its validity and no longer', () => {
  const key = generateSigningKey()
  const { bytes } = recordOf(key, { validUntilMs: NOW_MS })
  assert.ok(validateIpnsRecord(key.name, bytes, NOW_MS))
  assert.throws(() => validateIpnsRecord(key.name, bytes, NOW_MS + 1), failsWith('INVALID_RECORD'))
  assert.ok(hasEnded(verifyIpnsRecord(key.name, bytes), NOW_MS + 1))
})

test('a record over 10 KiB is refused even if its owner signed it, one of 10 KiB is not', () => {
  const key = generateSigningKey()
  const sized = (size: number) => recordWith(key, { ...soundData(), _: 'x'.repeat(size) })
  const overhead = sized(10_000).length - 10_000
  assert.ok(validateIpnsRecord(key.name, sized(10_240 - overhead), NOW_MS))
  assert.throws(() => validateIpnsRecord(key.name, sized(10_241 - overhead), NOW_MS), failsWith('INVALID_RECORD'))
})

const BAD_DATA: [what: string, change: Record<string, unknown>][] = [
  ['no sequence', { Sequence: undefined }],
  ['a negative sequence', { Sequence: -1 }],
  ['a fractional sequence', { Sequence: 1.5 }],
  ['a sequence over 64 bits', { Sequence: '18446744073709551616' }],
  ['a negative TTL', { TTL: -1 }],
  ['an unknown validity type', { ValidityType: 1 }],
  ['no validity type', { ValidityType: undefined }],
  ['no value', { Value: undefined }],
  ['a value that is text', { Value: CONTENT }],
  ['a validity that is no time', { Validity: Buffer.from('tomorrow') }],
  ['a validity on 30 February', { Validity: Buffer.from('2040-02-30T00:00:00Z') }],
  ['a validity at 25 o’clock', { Validity: Buffer.from('2040-01-01T25:00:00Z') }],
]

for (const [what, change] of BAD_DATA) {
  test(`a record with ${what} is refused though its owner signed it`, () => {
    const key = generateSigningKey()
    const data = Object.fromEntries(
      Object.entries({ ...soundData(), ...change }).filter(([, value]) => value !== undefined),
    )
    assert.throws(() => validateIpnsRecord(key.name, recordWith(key, data), NOW_MS), failsWith('INVALID_RECORD'))
  })
}

test('offsets and nanoseconds of a validity are read, fields nobody knows are kept, a missing TTL is a minute', () => {
  const key = generateSigningKey()
  const { TTL: _, ...data } = {
    ...soundData(),
    Validity: Buffer.from('2040-01-01T02:00:00.000000007+02:00'),
    _new: [1],
  }
  const bytes = recordWith(key, data)
  const record = validateIpnsRecord(key.name, bytes, NOW_MS)
  assert.equal(record.validUntilNs, BigInt(Date.UTC(2040, 0, 1)) * 1_000_000n + 7n)
  assert.equal(record.ttlNs, 60_000_000_000n)
  assert.deepEqual(Buffer.from(record.bytes), Buffer.from(bytes))
})

const V1_CHANGES: [field: string, change: Partial<IPNSEntry>][] = [
  ['value', { value: new Uint8Array(Buffer.from('/ipfs/bafkqaaa')) }],
  ['validity', { validity: new Uint8Array(Buffer.from('2099-01-01T00:00:00Z')) }],
  ['sequence', { sequence: 2n }],
  ['ttl', { ttl: 1n }],
]

for (const [field, change] of V1_CHANGES) {
  test(`a record whose ${field} for old software differs from the signed one is refused`, () => {
    const key = generateSigningKey()
    const bytes = IPNSEntry.encode({ ...IPNSEntry.decode(recordOf(key).bytes), ...change })
    assert.throws(() => validateIpnsRecord(key.name, bytes, NOW_MS), failsWith('INVALID_RECORD'))
  })
}

test('a record without a signature of version 2 is refused, and one without data', () => {
  const key = generateSigningKey()
  const { signatureV2, data, ...rest } = IPNSEntry.decode(recordOf(key).bytes)
  for (const entry of [
    { ...rest, data },
    { ...rest, signatureV2 },
    { ...rest, signatureV2: new Uint8Array(0), data },
  ]) {
    assert.throws(
      () => validateIpnsRecord(key.name, IPNSEntry.encode(entry as IPNSEntry), NOW_MS),
      failsWith('INVALID_RECORD'),
    )
  }
})

for (const type of KEY_TYPES) {
  test(`a record that somebody else signed is refused under a name of ${type}, whatever key it carries`, () => {
    const owner = generateSigningKey(type)
    const stranger = generateSigningKey(type)
    const { bytes } = recordOf(stranger)
    const carrying = (publicKey: Uint8Array<ArrayBuffer>) => IPNSEntry.encode({ ...IPNSEntry.decode(bytes), publicKey })
    for (const forged of [bytes, carrying(owner.publicKey), carrying(stranger.publicKey), carrying(randomBytes(36))]) {
      assert.throws(() => validateIpnsRecord(owner.name, forged, NOW_MS), failsWith('INVALID_RECORD'))
    }
    assert.ok(validateIpnsRecord(owner.name, recordOf(owner).bytes, NOW_MS))
  })
}

test('a name that is the hash of a key needs the key in each record, even after it was seen', () => {
  const key = generateSigningKey('rsa')
  const { bytes } = recordOf(key)
  validateIpnsRecord(key.name, bytes, NOW_MS)
  const { publicKey: _, ...rest } = IPNSEntry.decode(bytes)
  assert.throws(() => validateIpnsRecord(key.name, IPNSEntry.encode(rest), NOW_MS), failsWith('INVALID_RECORD'))
})

test('RSA keys of 512 bits, of 16,384 bits and with huge or even exponents are refused', () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 512 })
  assert.throws(() => validateWith(weak.publicKey, weak.privateKey), /fewer than 2048 bits/)
  assert.throws(() => validateWith(rsaPublicKey(16_384, Buffer.from([1, 0, 1]))), /too large/)
  assert.throws(() => validateWith(rsaPublicKey(8_256, Buffer.from([1, 0, 1]))), /more than 8192 bits/)
  assert.throws(() => validateWith(rsaPublicKey(2_048, randomBytes(256).fill(3, 0, 1))), /unsound exponent/)
  assert.throws(() => validateWith(rsaPublicKey(2_048, Buffer.from([2]))), /unsound exponent|cannot be read/)
})

function rsaPublicKey(bits: number, exponent: Buffer): KeyObject {
  const modulus = randomBytes(bits / 8)
  modulus[0] = 0xff
  modulus[modulus.length - 1] = 0xff
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** Validates a record of the name that belongs to the key; without a private key the signature is noise. */
function validateWith(publicKey: KeyObject, privateKey?: KeyObject): unknown {
  const protobuf = publicKeyProtobuf(publicKey)
  const key: SigningKey = {
    name: nameOfMultihash(multihashOf(protobuf)),
    publicKey: protobuf,
    sign: (message) => (privateKey ? sign('sha256', message, privateKey) : randomBytes(256)),
    exportSecret: () => new Uint8Array(0),
  }
  return validateIpnsRecord(key.name, recordOf(key).bytes, NOW_MS)
}

test('malformed and unknown public keys are refused', () => {
  const contents = [
    new Uint8Array(0),
    randomBytes(36),
    typedBytes(1, randomBytes(31)),
    typedBytes(2, Buffer.alloc(33, 0xff)),
    typedBytes(3, randomBytes(36)),
    typedBytes(RSA, randomBytes(38)),
    typedBytes(RSA, Buffer.from('302a300506032b6570032100', 'hex')),
  ]
  const { bytes } = recordOf(generateSigningKey())
  for (const content of contents.filter(({ length }) => length > 0)) {
    const name = nameOfMultihash(multihashOf(content))
    assert.throws(() => validateIpnsRecord(name, bytes, NOW_MS), failsWith('INVALID_RECORD'))
  }
})

test('what is no private key is refused, and says nothing of its bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.throws(
        () => importSigningKey(bytes),
        (error) => error instanceof HoldfastError && error.code === 'BAD_REQUEST' && error.cause === undefined,
      )
    }),
  )
  const wrongPublicKey = Buffer.concat([randomBytes(32), randomBytes(32)])
  assert.throws(() => importSigningKey(typedBytes(1, wrongPublicKey)), failsWith('BAD_REQUEST'))
})

test('a record is a copy: what happens to the received buffer does not change it', () => {
  const key = generateSigningKey()
  const received = Buffer.from(recordOf(key).bytes)
  const record = validateIpnsRecord(key.name, received, NOW_MS)
  const before = Buffer.from(record.bytes)
  received.fill(0)
  assert.deepEqual(Buffer.from(record.bytes), before)
  assert.ok(verifyIpnsRecord(key.name, record.bytes))
})

for (const type of KEY_TYPES) {
  test(`a damaged record of ${type} is refused with a code, or still says what its owner signed`, () => {
    const key = generateSigningKey(type)
    const original = recordOf(key)
    fc.assert(
      fc.property(mutations(original.bytes), (bytes) => {
        const record = outcomeOf(() => validateIpnsRecord(key.name, bytes, NOW_MS))
        if (record === undefined) return
        assert.deepEqual(Buffer.from(record.value), Buffer.from(original.value))
        assert.equal(record.sequence, original.sequence)
        assert.equal(record.validUntilNs, original.validUntilNs)
      }),
      { numRuns: 2_000 },
    )
  })
}

test('any signed data and any bytes are a record or refused with a code, also when nested to the limit', () => {
  const key = generateSigningKey()
  const field = fc.constantFrom('Value', 'Validity', 'ValidityType', 'Sequence', 'TTL', '__proto__', '_x')
  const content = fc.oneof(
    fc.integer(),
    fc.maxSafeNat(),
    fc.string(),
    fc.uint8Array(),
    fc.boolean(),
    fc.array(fc.integer()),
  )
  fc.assert(
    fc.property(fc.dictionary(field, content), (data) => {
      outcomeOf(() => validateIpnsRecord(key.name, recordWith(key, { ...soundData(), ...data }), NOW_MS))
    }),
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void outcomeOf(() => decodeIpnsRecord(bytes))))
  for (const opener of [0x81, 0xa1, 0xd8, 0x9f]) {
    const data = new Uint8Array(10_000).fill(opener)
    const bytes = IPNSEntry.encode({ data, signatureV2: key.sign(data) })
    assert.throws(() => decodeIpnsRecord(bytes), failsWith('INVALID_RECORD'))
  }
})

/** The record, or undefined if it was refused; anything else than a refusal fails the test. */
function outcomeOf<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    assert.ok(error instanceof HoldfastError && error.code === 'INVALID_RECORD', String(error))
    return undefined
  }
}

function mutations(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat({ max: bytes.length - 1 })
  const flip = fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([index, mask]) => {
    const copy = Buffer.from(bytes)
    copy[index] = (copy[index] ?? 0) ^ mask
    return copy
  })
  const cut = at.map((end) => bytes.slice(0, end))
  const splice = fc
    .tuple(at, at, fc.uint8Array({ maxLength: 20 }))
    .map(([from, to, put]) => Buffer.concat([bytes.slice(0, from), put, bytes.slice(to)]))
  const append = fc.uint8Array({ maxLength: 40 }).map((more) => Buffer.concat([bytes, more]))
  return fc.oneof(flip, cut, splice, append)
}
