import { AbiCoder, dnsEncode, ensNormalize, namehash } from 'ethers'
import { SELECTORS } from '../../../contracts-abi/index.ts'
import type { Abortable } from '../../core/block-source.ts'
import { HoldfastError } from '../../core/errors.ts'
import { decodeBytes } from '../abi-bytes.ts'
import type { Hex } from '../hex.ts'
import { pinBlock, type ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { callContract, type CallOptions } from './contract-call.ts'
import { decodeContenthash, type Contenthash } from './contenthash.ts'
import type { OffchainOptions } from './offchain-gateway.ts'

export interface EnsOptions {
  pool: ProviderPool
  /** The registry's address. @default that of Ethereum's main chain */
  registry?: Hex
  /** Which block is read: the newest, or one that no reorganisation takes back. @default finalized */
  head?: 'latest' | 'safe' | 'finalized'
  offchain?: OffchainOptions
}

/** What a name pointed to at a block. */
export interface EnsAnswer {
  /** Normalised (ENSIP-15). */
  name: string
  block: ChainBlock
  /** Undefined: the name exists, and has no content. */
  content: Contenthash | undefined
}

const MAINNET_REGISTRY = '0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e'
/** Of ENSIP-10; also the id of its interface. */
const RESOLVE = SELECTORS['resolve(bytes,bytes)']
/** A name is at most 255 bytes on the wire; each label costs a call. */
const MAX_LABELS = 16

const coder = AbiCoder.defaultAbiCoder()

/** Reads names of ENS: the registry's resolver, or that of the nearest parent that answers for all below it (ENSIP-10). */
export class Ens {
  readonly #pool: ProviderPool
  readonly #registry: Hex
  readonly #head: 'latest' | 'safe' | 'finalized'
  readonly #offchain: OffchainOptions

  constructor({ pool, registry = MAINNET_REGISTRY, head = 'finalized', offchain = {} }: EnsOptions) {
    this.#pool = pool
    this.#registry = registry
    this.#head = head
    this.#offchain = offchain
  }

  /**
   * What a name points to. All of it is read at one block.
   * @throws INVALID_NAME when it cannot be one; NAME_NOT_RESOLVED when it has no resolver, or that refuses or answers
   *   rubbish; NAME_LOOP, UPSTREAM_FAILED as {@link callContract}
   */
  async contenthash(text: string, { signal }: Abortable = {}): Promise<EnsAnswer> {
    const name = normalise(text)
    const block = await pinBlock(this.#pool, this.#head, signal === undefined ? {} : { signal })
    const call: CallOptions = { pool: this.#pool, block, offchain: this.#offchain, ...(signal && { signal }) }
    const { resolver, isOwn } = await this.#resolverOf(name, call)
    const asked = `${SELECTORS['contenthash(bytes32)']}${namehash(name).slice(2)}` as const
    const bytes = (await isExtended(resolver, call))
      ? await resolveExtended(resolver, { name, asked, call })
      : isOwn && decoded(await callContract(resolver, asked, call))
    if (bytes === undefined || bytes === false) {
      throw new HoldfastError('NAME_NOT_RESOLVED', `The resolver of ${name} does not tell its content.`)
    }
    return { name, block, content: bytes.length === 0 ? undefined : decodeContenthash(bytes) }
  }

  async #resolverOf(name: string, call: CallOptions): Promise<{ resolver: Hex; isOwn: boolean }> {
    for (let rest = name; rest !== ''; rest = parentOf(rest)) {
      const word = await callContract(
        this.#registry,
        `${SELECTORS['resolver(bytes32)']}${namehash(rest).slice(2)}`,
        call,
      )
      const resolver = word === undefined ? undefined : addressIn(word)
      if (resolver !== undefined) return { resolver, isOwn: rest === name }
    }
    throw new HoldfastError('NAME_NOT_RESOLVED', `The name ${name} has no resolver.`)
  }
}

function normalise(text: string): string {
  try {
    const name = ensNormalize(text)
    const labels = name.split('.')
    if (labels.length > MAX_LABELS || labels.includes('')) throw new RangeError('It has empty or too many labels.')
    dnsEncode(name)
    return name
  } catch (cause) {
    throw new HoldfastError('INVALID_NAME', `${JSON.stringify(text.slice(0, 64))} is not a name of ENS.`, { cause })
  }
}

function parentOf(name: string): string {
  const dot = name.indexOf('.')
  return dot === -1 ? '' : name.slice(dot + 1)
}

/** The address in a word; undefined when there is none, or it is nobody's. */
function addressIn(word: Uint8Array): Hex | undefined {
  const text = Buffer.from(word).toString('hex')
  return word.length === 32 && /^0{24}/.test(text) && !/^0+$/.test(text) ? `0x${text.slice(24)}` : undefined
}

async function isExtended(resolver: Hex, call: CallOptions): Promise<boolean> {
  const word = await callContract(
    resolver,
    `${SELECTORS['supportsInterface(bytes4)']}${RESOLVE.slice(2).padEnd(64, '0')}`,
    call,
  )
  return word?.length === 32 && word[31] === 1 && word.subarray(0, 31).every((byte) => byte === 0)
}

async function resolveExtended(
  resolver: Hex,
  { name, asked, call }: { name: string; asked: Hex; call: CallOptions },
): Promise<Uint8Array | undefined> {
  const words = coder.encode(['bytes', 'bytes'], [dnsEncode(name), asked])
  return decoded(decoded(await callContract(resolver, `${RESOLVE}${words.slice(2)}`, call)))
}

function decoded(returned: Uint8Array | undefined): Uint8Array | undefined {
  return returned && decodeBytes(returned)
}
