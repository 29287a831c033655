import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { arch, platform } from 'node:process'
import type { Hex } from '../../services/chain/hex.ts'
import { JsonRpc } from '../../services/chain/json-rpc.ts'
import { compileOnce, type CompiledContract } from './solidity.ts'
import { until } from './until.ts'

const PACKAGES = resolve(import.meta.dirname, '../../node_modules/@foundry-rs')
const ARTIFACTS = resolve(import.meta.dirname, '../../contracts-abi/artifacts')
const CONTRACTS = resolve(import.meta.dirname, '../fixtures/contracts')
/** The first of the accounts that anvil makes and unlocks. */
const SENDER = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'

/** A chain of one's own. */
export interface TestChain extends AsyncDisposable {
  url: string
  rpc: JsonRpc
  /** Sends a call to a contract, and waits until it is in a block. */
  send(to: Hex, data: string): Promise<void>
  /** The same; answers the gas that it used. */
  gasOf(to: Hex, data: string): Promise<number>
  /** Deploys a contract of test/fixtures/contracts, with the ABI's words of its arguments. */
  deploy(name: string, words?: string): Promise<Hex>
  /** Deploys a contract of contracts-abi/artifacts. */
  deployOwn(name: string): Promise<Hex>
  /** Hash of the newest block. */
  head(): Promise<{ number: bigint; hash: Hex }>
}

/** Starts anvil on a free port of this machine; every transaction is a block. */
export async function startChain(options: readonly string[] = []): Promise<TestChain> {
  const program = join(PACKAGES, `anvil-${platform}-${arch === 'x64' ? 'amd64' : arch}`, 'bin', 'anvil')
  // Old states are written to a folder, in the home of the user unless it is told, and stay there when it is killed.
  const states = await mkdtemp(join(tmpdir(), 'holdfast-anvil-'))
  const words = ['--port', '0', '--slots-in-an-epoch', '4', '--gas-limit', '1000000000', '--cache-path', states]
  const child = spawn(program, [...words, ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const url = await listening(child.stdout)
  child.stdout.resume()
  const rpc = new JsonRpc({ url })
  const transact = async (transaction: object): Promise<Receipt> => {
    const hash = await rpc.call({
      method: 'eth_sendTransaction',
      params: [{ from: SENDER, gas: '0x3b000000', ...transaction }],
    })
    const receipt = await until('the transaction in a block', async () => {
      const found = await rpc.call({ method: 'eth_getTransactionReceipt', params: [hash] })
      return (found ?? undefined) as Receipt | undefined
    })
    if (receipt.status !== '0x1') throw new Error(`the transaction ${String(hash)} was reverted`)
    return receipt
  }
  return {
    url,
    rpc,
    async send(to, data) {
      await transact({ to, data })
    },
    async gasOf(to, data) {
      return Number((await transact({ to, data })).gasUsed)
    },
    async deploy(name, words = '') {
      const { bytecode } = await contract(name)
      return (await transact({ data: `0x${bytecode}${words}` })).contractAddress
    },
    async deployOwn(name) {
      const { bytecode } = JSON.parse(await readFile(join(ARTIFACTS, `${name}.json`), 'utf8')) as CompiledContract
      return (await transact({ data: `0x${bytecode}` })).contractAddress
    },
    async head() {
      const block = await rpc.call({ method: 'eth_getBlockByNumber', params: ['latest', false] })
      const { number, hash } = block as { number: Hex; hash: Hex }
      return { number: BigInt(number), hash }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exit
      await rm(states, { recursive: true, force: true })
    },
  }
}

interface Receipt {
  status: Hex
  gasUsed: Hex
  contractAddress: Hex
}

async function listening(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const address = /Listening on (\S+)/.exec(line)?.[1]
    if (address !== undefined) return `http://${address}`
  }
  throw new Error('anvil ended before it listened')
}

async function contract(name: string): Promise<CompiledContract> {
  const source = await readFile(join(CONTRACTS, `${name}.sol`), 'utf8')
  const compiled = (await compileOnce({ [`${name}.sol`]: source }))[name]
  if (compiled === undefined) throw new Error(`there is no contract ${name}`)
  return compiled
}
