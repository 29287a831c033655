import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import solc from 'solc'

const PACKAGES = resolve(import.meta.dirname, '../../node_modules')

export interface CompiledContract {
  abi: readonly AbiEntry[]
  /** Hex without `0x`: what a transaction deploys, and what lies at the address then. */
  bytecode: string
  deployedBytecode: string
}

export interface AbiEntry {
  type: string
  name?: string
  inputs?: readonly AbiParameter[]
  outputs?: readonly AbiParameter[]
}

export interface AbiParameter {
  type: string
  name: string
  components?: readonly AbiParameter[]
}

/** Without the hash of the sources' metadata the output depends on the code alone. */
const SETTINGS = {
  optimizer: { enabled: true, runs: 1_000 },
  viaIR: true,
  metadata: { bytecodeHash: 'none' },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
} as const

/** Chains that have at least what this version of Ethereum had. */
export type EvmVersion = 'paris' | 'cancun'

export const COMPILER = solc.version()

export function settingsFor(evmVersion: EvmVersion): typeof SETTINGS & { evmVersion: EvmVersion } {
  return { ...SETTINGS, evmVersion }
}

/**
 * Compiles Solidity with the compiler of the package `solc`; imports are found among the installed packages.
 * @param sources text by file name
 * @returns the contracts of these files by name
 * @throws Error with the compiler's words
 */
export function compile(
  sources: Readonly<Record<string, string>>,
  evmVersion: EvmVersion,
): Record<string, CompiledContract> {
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(Object.entries(sources).map(([name, content]) => [name, { content }])),
    settings: settingsFor(evmVersion),
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport })) as Output
  const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join('\n'))
  const compiled = Object.keys(sources).flatMap((name) => Object.entries(output.contracts?.[name] ?? {}))
  return Object.fromEntries(
    compiled.map(([name, { abi, evm }]) => [
      name,
      { abi, bytecode: evm.bytecode.object, deployedBytecode: evm.deployedBytecode.object },
    ]),
  )
}

interface Output {
  errors?: { severity: string; formattedMessage: string }[]
  contracts?: Record<
    string,
    Record<string, { abi: AbiEntry[]; evm: { bytecode: { object: string }; deployedBytecode: { object: string } } }>
  >
}

function readImport(path: string): { contents: string } | { error: string } {
  const file = join(PACKAGES, path)
  return existsSync(file) ? { contents: readFileSync(file, 'utf8') } : { error: `${path} is not installed` }
}

/** {@link compile} for a test chain, once for the same sources on a machine: the compiler takes seconds. */
export async function compileOnce(
  sources: Readonly<Record<string, string>>,
): Promise<Record<string, CompiledContract>> {
  const settings = settingsFor('cancun')
  const key = createHash('sha256')
    .update(JSON.stringify([COMPILER, settings, sources]))
    .digest('hex')
  const folder = join(tmpdir(), 'holdfast-compiled-contracts')
  const file = join(folder, `${key}.json`)
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept !== undefined) return JSON.parse(kept) as Record<string, CompiledContract>
  const compiled = compile(sources, settings.evmVersion)
  await mkdir(folder, { recursive: true })
  const partial = `${file}.${process.pid}`
  await writeFile(partial, JSON.stringify(compiled))
  await rename(partial, file)
  return compiled
}
