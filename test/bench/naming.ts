import { generateKeyPairSync, verify } from 'node:crypto'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { parseIpnsName } from '../../services/naming/ipns-name.ts'
import { validateIpnsRecord } from '../../services/naming/ipns-record.ts'
import { typedBytes } from '../../services/naming/protobuf.ts'
import { parsePublicKey, RSA } from '../../services/naming/public-key.ts'
import { generateSigningKey, importSigningKey, type SigningKey } from '../../services/naming/signing-key.ts'
import { percentile, type Row } from './rows.ts'

/**
 * Records of IPNS made and checked, against node:crypto's own sign and verify of as many bytes with a key that is ready.
 * In turn and many times, and the fastest fifth counts: other work on the machine can only make a round slower.
 */

const ROUNDS = 31
const MESSAGE = Buffer.alloc(150, 1)
const WANTED = {
  value: '/ipfs/bafkqaddwgevxmmraojswg33smq',
  sequence: 1n,
  validUntilMs: Date.UTC(2100, 0, 1),
  ttlMs: 60_000,
  onlyVersion2: true,
}
const MOST = 1.5
/** What one check of a record may cost a node, whatever key its name has. */
const BUDGET_MICROS = 5_000

export function benchNaming(): Promise<Row[]> {
  return Promise.resolve([
    ...measure('Ed25519', generateSigningKey('ed25519'), 300),
    ...measure('secp256k1', generateSigningKey('secp256k1'), 100),
    ...measure('RSA 2048', generateSigningKey('rsa'), 100),
    ...measure('RSA 8192', rsaKey(8_192), 2),
  ])
}

function measure(what: string, key: SigningKey, count: number): Row[] {
  const { bytes } = createIpnsRecord(key, WANTED)
  const { key: publicKey, digest } = parsePublicKey(key.publicKey)
  const signature = key.sign(MESSAGE)
  const [verified, validated, signed, created] = callMicros(count, [
    () => verify(digest, MESSAGE, publicKey, signature),
    () => validateIpnsRecord(key.name, bytes, 0),
    () => key.sign(MESSAGE),
    () => createIpnsRecord(key, WANTED),
  ]) as [number, number, number, number]
  // By itself: the keys that it leaves behind are collected while others are measured.
  const [first] = callMicros(count, [() => validateIpnsRecord(parseIpnsName(key.name.text), bytes, 0)]) as [number]
  const native = `verify ${micros(verified)}`
  return [
    atMost(`validate a record, ${what}`, validated, native, validated / verified),
    {
      what: `and read its name and key before, ${what}`,
      measured: micros(first),
      against: native,
      ratio: first / verified,
      target: `under ${micros(BUDGET_MICROS)}`,
      isMet: first < BUDGET_MICROS,
    },
    atMost(`make a record, ${what}`, created, `sign ${micros(signed)}`, created / signed),
  ]
}

function atMost(what: string, measured: number, against: string, ratio: number): Row {
  return { what, measured: micros(measured), against, ratio, target: `at most ${MOST}`, isMet: ratio <= MOST }
}

function micros(value: number): string {
  return `${value.toFixed(0)} us`
}

/** How long one call of each takes, in microseconds. */
function callMicros(count: number, calls: readonly (() => unknown)[]): number[] {
  for (const call of calls) repeat(call, 10 * count)
  const rounds = calls.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, call] of calls.entries()) {
      const start = performance.now()
      repeat(call, count)
      rounds[index]?.push(((performance.now() - start) * 1_000) / count)
    }
  }
  return rounds.map((durations) => percentile(durations, 0.2))
}

function repeat(call: () => unknown, times: number): void {
  for (let done = 0; done < times; done++) call()
}

function rsaKey(modulusLength: number): SigningKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength })
  return importSigningKey(typedBytes(RSA, privateKey.export({ format: 'der', type: 'pkcs1' })))
}
