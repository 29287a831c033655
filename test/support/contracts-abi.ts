import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { compile, COMPILER, settingsFor, type AbiEntry, type AbiParameter } from './solidity.ts'

export const CONTRACTS_FOLDER = resolve(import.meta.dirname, '../../contracts-abi')
const SOURCES = ['PinAnchor.sol', 'TokenProbe.sol']

/** The first four bytes of the hash: how a function is called. */
export function selectorOf(signature: string): string {
  return keccak(signature).slice(0, 10)
}

/** The hash: the first topic of an event's logs. */
export function topicOf(signature: string): string {
  return keccak(signature)
}

function keccak(text: string): string {
  return `0x${Buffer.from(keccak_256(Buffer.from(text))).toString('hex')}`
}

/** `Transfer(address,address,uint256)` of an entry. */
export function signatureOf({ name = '', inputs = [] }: AbiEntry): string {
  return `${name}(${inputs.map(typeOf).join(',')})`
}

function typeOf({ type, components }: AbiParameter): string {
  return components === undefined ? type : type.replace('tuple', `(${components.map(typeOf).join(',')})`)
}

/** The standard ABIs by the name of their file. */
export function readAbis(): Map<string, AbiEntry[]> {
  const names = readdirSync(CONTRACTS_FOLDER).filter((name) => name.endsWith('.json'))
  return new Map(
    names
      .sort()
      .map((name) => [
        basename(name, '.json'),
        JSON.parse(readFileSync(join(CONTRACTS_FOLDER, name), 'utf8')) as AbiEntry[],
      ]),
  )
}

/** Our own contracts as compiled now, by name: the text of each artifact. */
export function makeArtifacts(): Map<string, string> {
  const artifacts = new Map<string, string>()
  for (const file of SOURCES) {
    const source = readFileSync(join(CONTRACTS_FOLDER, 'src', file), 'utf8')
    for (const [name, { abi, bytecode, deployedBytecode }] of Object.entries(compile({ [file]: source }, 'paris'))) {
      const isLibrary = abi.length === 0
      if (isLibrary) continue
      const artifact = { source: file, solc: COMPILER, settings: settingsFor('paris'), abi, bytecode, deployedBytecode }
      artifacts.set(name, `${JSON.stringify(artifact, undefined, 2)}\n`)
    }
  }
  return artifacts
}

/** The text of `contracts-abi/index.ts`. */
export function makeIndex(artifacts: ReadonlyMap<string, string>): string {
  const own = [...artifacts.values()].map((text) => (JSON.parse(text) as { abi: AbiEntry[] }).abi)
  const entries = [...readAbis().values(), ...own].flat()
  const lines = (type: string, value: (signature: string) => string): string[] => [
    ...new Set(
      entries
        .filter((entry) => entry.type === type)
        .map(signatureOf)
        .map((signature) => `  '${signature}': '${value(signature)}',`),
    ),
  ]
  const constants = [...artifacts].map(([name, text]) => {
    const { bytecode, deployedBytecode } = JSON.parse(text) as { bytecode: string; deployedBytecode: string }
    const isInitCode = name.endsWith('Once')
    return `/** ${isInitCode ? 'Init code, to be followed by its arguments' : 'Code as it lies at an address'}. */\nexport const ${constantName(name)} =\n  '0x${isInitCode ? bytecode : deployedBytecode}'\n`
  })
  return [
    '// Printed by `npm run contracts` from the JSON files of this folder.\n',
    '/** How functions are called: the first four bytes of the hash of their signature. */',
    'export const SELECTORS = {',
    ...lines('function', selectorOf),
    '} as const\n',
    '/** The first topic of events: the hash of their signature. */',
    'export const TOPICS = {',
    ...lines('event', topicOf),
    '} as const\n',
    '/** How errors begin: the first four bytes of the hash of their signature. */',
    'export const ERRORS = {',
    ...lines('error', selectorOf),
    '} as const\n',
    ...constants,
  ].join('\n')
}

function constantName(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()
}
