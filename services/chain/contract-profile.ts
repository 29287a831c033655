import { keccak256 } from 'ethers'
import { SELECTORS } from '../../contracts-abi/index.ts'
import { HoldfastError } from '../core/errors.ts'
import { decodeString } from './abi-bytes.ts'
import type { CallAt } from './call-at.ts'
import { callMany } from './call-many.ts'
import { bytesOfHex, type Hex } from './hex.ts'
import type { RpcCall } from './json-rpc.ts'
import { minimalProxyTarget, mutabilityOf, PROXY_SLOTS, type Mutability } from './mutability.ts'

/** What a contract is and says of itself at a block. Its own words are claims. */
export interface ContractProfile {
  codeHash: Hex
  codeBytes: number
  /** Interfaces that it claims by ERC-165; none when it claims those too that nobody can have. */
  standards: string[]
  name: string | null
  symbol: string | null
  /** Decimal. */
  totalSupply: string | null
  contractUri: string | null
  owner: Hex | null
  mutability: Mutability
}

/** Ids of ERC-165. The last is nobody's: "supportsInterface(0xffffffff)" MUST be false. */
const INTERFACES = [
  ['erc721', '80ac58cd'],
  ['erc721-metadata', '5b5e139f'],
  ['erc721-enumerable', '780e9d63'],
  ['erc1155', 'd9b67a26'],
  ['erc1155-metadata-uri', '0e89341c'],
  ['erc2477', '832a7e0e'],
  ['erc2981', '2a55205a'],
  ['erc4906', '49064906'],
  ['erc7160', '06e1bc5b'],
  ['everything', 'ffffffff'],
] as const
const OWNER = '0x8da5cb5b'
/** Of the contract's own texts, in characters. */
const MOST_TEXT = 2_048
const READ_GAS = '0x4c4b40'

/** Reads a contract in two requests at most. @throws NOT_FOUND when there is no code at the address */
export async function readContract(address: Hex, at: CallAt): Promise<ContractProfile> {
  const block = { blockHash: at.block.hash }
  const ask = (data: string): RpcCall => ({ method: 'eth_call', params: [{ to: address, data, gas: READ_GAS }, block] })
  const calls: RpcCall[] = [
    { method: 'eth_getCode', params: [address, block] },
    ...PROXY_SLOTS.map((slot) => ({ method: 'eth_getStorageAt', params: [address, slot, block] })),
    ...['name()', 'symbol()', 'contractURI()', 'totalSupply()'].map((text) => ask(SELECTORS[text as 'name()'])),
    ask(OWNER),
    ...INTERFACES.map(([, id]) => ask(SELECTORS['supportsInterface(bytes4)'] + id.padEnd(64, '0'))),
  ]
  const [codeHex, implementation, beacon, admin, name, symbol, uri, supply, owner, ...supports] = await callMany(
    calls,
    at,
  )
  const code = bytesOfHex(codeHex) ?? Buffer.alloc(0)
  if (code.length === 0) {
    throw new HoldfastError('NOT_FOUND', `There is no contract at ${address} at block ${at.block.number}.`)
  }
  const clone = minimalProxyTarget(code)
  const running = clone === undefined ? code : await readCode(clone, at)
  const claimed = INTERFACES.flatMap(([standard], index) => (isTrue(supports[index]) ? [standard] : []))
  return {
    codeHash: keccak256(code) as Hex,
    codeBytes: code.length,
    standards: claimed.includes('everything') ? [] : claimed,
    name: textOf(name),
    symbol: textOf(symbol),
    totalSupply: wordIn(supply)?.toString() ?? null,
    contractUri: textOf(uri),
    owner: addressIn(owner),
    mutability: mutabilityOf(
      running,
      { implementation: addressIn(implementation), beacon: addressIn(beacon), admin: addressIn(admin) },
      clone,
    ),
  }
}

async function readCode(address: Hex, at: CallAt): Promise<Buffer> {
  const [code] = await callMany([{ method: 'eth_getCode', params: [address, { blockHash: at.block.hash }] }], at)
  return bytesOfHex(code) ?? Buffer.alloc(0)
}

/** The number in a word; undefined when it is not one word. */
function wordIn(returned: string | undefined): bigint | undefined {
  return returned?.length === 66 && bytesOfHex(returned) !== undefined ? BigInt(returned) : undefined
}

function isTrue(returned: string | undefined): boolean {
  return wordIn(returned) === 1n
}

/** Null when the word holds no address, or nobody's. */
function addressIn(returned: string | undefined): Hex | null {
  const word = wordIn(returned)
  return word === undefined || word === 0n || word >> 160n !== 0n ? null : `0x${word.toString(16).padStart(40, '0')}`
}

/** Without NUL, which fields of fixed width are filled with. */
function textOf(returned: string | undefined): string | null {
  const bytes = bytesOfHex(returned)
  return (bytes && decodeString(bytes)?.replaceAll('\0', '').slice(0, MOST_TEXT).toWellFormed()) ?? null
}
