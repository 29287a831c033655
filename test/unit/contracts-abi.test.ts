import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { id } from 'ethers'
import { SELECTORS, TOPICS } from '../../contracts-abi/index.ts'
import {
  CONTRACTS_FOLDER,
  makeArtifacts,
  makeIndex,
  readAbis,
  selectorOf,
  signatureOf,
} from '../support/contracts-abi.ts'

/** Interface ids as the ERCs give them: all selectors of the interface, by exclusive or. */
const INTERFACE_IDS: Readonly<Record<string, string>> = {
  erc165: '0x01ffc9a7',
  erc721: '0x80ac58cd',
  'erc721-metadata': '0x5b5e139f',
  'erc721-enumerable': '0x780e9d63',
  erc1155: '0xd9b67a26',
  'erc1155-metadata-uri': '0x0e89341c',
  erc2477: '0x832a7e0e',
  erc2981: '0x2a55205a',
  erc7160: '0x06e1bc5b',
}

test('our own contracts compile to what is kept of them, and the printed file is the one that is there', () => {
  const artifacts = makeArtifacts()
  assert.deepEqual([...artifacts.keys()], ['PinAnchor', 'TokenProbe', 'TokenProbeOnce'])
  for (const [name, text] of artifacts) {
    assert.equal(readFileSync(join(CONTRACTS_FOLDER, 'artifacts', `${name}.json`), 'utf8'), text)
  }
  assert.equal(readFileSync(join(CONTRACTS_FOLDER, 'index.ts'), 'utf8'), makeIndex(artifacts))
})

test('selectors and topics are the hashes of their signatures', () => {
  for (const [signature, selector] of Object.entries(SELECTORS)) assert.equal(selector, id(signature).slice(0, 10))
  for (const [signature, topic] of Object.entries(TOPICS)) assert.equal(topic, id(signature))
})

test('the functions of each interface give its id', () => {
  const abis = readAbis()
  for (const [name, expected] of Object.entries(INTERFACE_IDS)) {
    const functions = (abis.get(name) ?? []).filter(({ type }) => type === 'function')
    const xor = functions.reduce((sum, entry) => sum ^ Number(selectorOf(signatureOf(entry))), 0) >>> 0
    assert.equal(`0x${xor.toString(16).padStart(8, '0')}`, expected, name)
  }
})
