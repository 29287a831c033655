import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { assert as check, constantFrom, property, uint8Array } from 'fast-check'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { create as multihash } from 'multiformats/hashes/digest'
import { decodeContenthash } from '../../services/chain/ens/contenthash.ts'
import { hasCode } from '../../services/core/errors.ts'

const SHA = '122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f'
const ED25519 = '002408011220' + 'a1'.repeat(32)
const DOMAIN = Buffer.from('app.uniswap.org').toString('hex')

/** What the network and the value of a contenthash are, in hex, and what it says. */
const FORMS: readonly [what: string, hex: string, says: object][] = [
  ['a folder', `e3010170${SHA}`, { network: 'ipfs', root: cid(0x70) }],
  ['a single block', `e3010155${SHA}`, { network: 'ipfs', root: cid(0x55) }],
  ['DAG-CBOR', `e3010171${SHA}`, { network: 'ipfs', root: cid(0x71) }],
  [
    'BLAKE2b-256',
    `e3010170a0e40220${SHA.slice(4)}`,
    { network: 'ipfs', root: CID.createV1(0x70, multihash(0xb220, Buffer.from(SHA.slice(4), 'hex'))) },
  ],
  ['a CID of version 0', `e301${SHA}`, { network: 'ipfs', root: CID.decode(Buffer.from(SHA, 'hex')) }],
  ['a hashed key', `e5010172${SHA}`, { network: 'ipns', name: cid(0x72).toString(base36) }],
  ['a hashed key as it was once written', `e5010170${SHA}`, { network: 'ipns', name: cid(0x72).toString(base36) }],
  [
    'a key inline',
    `e5010172${ED25519}`,
    { network: 'ipns', name: CID.decode(Buffer.from(`0172${ED25519}`, 'hex')).toString(base36) },
  ],
  ['a domain', `e5010170000f${DOMAIN}`, { network: 'ipns', name: 'app.uniswap.org' }],
  ['Swarm', `e40101fa011b20${'d1'.repeat(32)}`, { network: 'swarm' }],
  ['Arweave', `90b2ca05${'ca'.repeat(32)}`, { network: 'arweave' }],
  ['Skynet', `90b2c605${'ca'.repeat(34)}`, { network: 'skynet' }],
  ['an onion service', `bd03${Buffer.from('a'.repeat(56)).toString('hex')}`, { network: 'onion' }],
]

const REJECTED: readonly [what: string, hex: string][] = [
  ['nothing', ''],
  ['a network without a value', 'e301'],
  ['an unknown network', `aa010170${SHA}`],
  ['a CID that is cut off', `e3010170${SHA.slice(0, -2)}`],
  ['bytes after the CID', `e3010170${SHA}00`],
  ['a key as content', `e3010172${SHA}`],
  ['content as a key', `e5010155${SHA}`],
  ['a digest that is too short', `e30101701208${SHA.slice(4, 20)}`],
  ['an unknown codec', `e301019001${SHA}`],
  ['an inline text that is no domain', `e50101700004${Buffer.from('../x').toString('hex')}`],
  ['text without a dot', `e50101700009${Buffer.from('localhost').toString('hex')}`],
  ['bytes that are no text', 'e50101700003fffefd'],
  ['a value without end', `e301${'ff'.repeat(20)}`],
  ['half a kilobyte', `90b2ca05${'ca'.repeat(600)}`],
]

function cid(codec: number): CID {
  return CID.createV1(codec, multihash(0x12, Buffer.from(SHA.slice(4), 'hex')))
}

suite('a contenthash', () => {
  for (const [what, hex, says] of FORMS) {
    test(`of ${what} is read`, () => assert.deepEqual(plain(decodeContenthash(Buffer.from(hex, 'hex'))), plain(says)))
  }

  for (const [what, hex] of REJECTED) {
    test(`of ${what} is refused`, () => {
      assert.throws(
        () => decodeContenthash(Buffer.from(hex, 'hex')),
        (error) => hasCode(error, 'NAME_NOT_RESOLVED'),
      )
    })
  }

  test('of any bytes is read or refused, and nothing else', () => {
    const network = constantFrom('', 'e301', 'e501', 'e401', '90b2ca05').map((hex) => Buffer.from(hex, 'hex'))
    check(
      property(network, uint8Array({ maxLength: 64 }), (code, value) => {
        try {
          decodeContenthash(Buffer.concat([code, value]))
        } catch (error) {
          assert.ok(hasCode(error, 'NAME_NOT_RESOLVED'))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

/** CIDs by their text. */
function plain(value: object): object {
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, String(field)]))
}
