import { AbiCoder, dnsEncode, namehash } from 'ethers'
import { SELECTORS } from '../../../contracts-abi/index.ts'
import type { Abortable } from '../../core/block-source.ts'
import { HoldfastError } from '../../core/errors.ts'
import { SECOND_MS } from '../../core/units.ts'
import { decodeBytes } from '../abi-bytes.ts'
import type { Hex } from '../hex.ts'
import { FinalBlock } from '../final-block.ts'
import { pinBlock, type ChainBlock } from '../pin-block.ts'
import type { ProviderPool } from '../provider-pool.ts'
import { callContract, type CallOptions } from './contract-call.ts'
import { decodeContenthash, type Contenthash } from './contenthash.ts'
import { parseEnsName } from './ens-name.ts'
import type { OffchainOptions } from './offchain-gateway.ts'

/** Which block is read: the newest, or one that no reorganisation takes back. */
export type EnsHead = 'latest' | 'safe' | 'finalized'

export interface EnsOptions {
  pool: ProviderPool
  /** The registry's address. @default that of Ethereum's main chain */
  registry?: Hex
  /** Address of the Universal Resolver. @default that of Ethereum's main chain; none with a registry of one's own */
  universalResolver?: Hex
  /** @default finalized */
  head?: EnsHead
  /** How long a final block counts before it is asked for again. @default 10 s */
  finalAgeMs?: number
  offchain?: OffchainOptions
}

/** What a name pointed to at a block. */
export interface EnsAnswer {
  /** Normalised (ENSIP-15). */
  name: string
  block: ChainBlock
  /** Undefined: the name exists, and has no content. */
  content: Contenthash | undefined
  /** Whether something was asked outside of the chain, so that the same block may say something else next time. */
  isOffchain: boolean
}

const MAINNET_REGISTRY = '0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e'
/** A proxy of the DAO: what stands behind it follows ENS, whatever version a name is registered in. */
const MAINNET_UNIVERSAL_RESOLVER = '0xeeeeeeee14d718c2b47d9923deab1335e144eeee'
/** Of ENSIP-10; also the id of its interface. */
const RESOLVE = SELECTORS['resolve(bytes,bytes)']

/** Finality moves every six minutes. */
const FINAL_AGE_MS = 10 * SECOND_MS

const coder = AbiCoder.defaultAbiCoder()

/**
 * Reads names of ENS by the Universal Resolver (ENSIP-23), which knows names of all versions of ENS. Where a chain has none,
 * by the registry's resolver, or that of the nearest parent that answers for all below it (ENSIP-10).
 */
export class Ens {
  readonly #pool: ProviderPool
  readonly #registry: Hex
  readonly #universalResolver: Hex | undefined
  readonly #head: EnsHead
  readonly #offchain: OffchainOptions
  readonly #finalBlock: FinalBlock

  constructor(options: EnsOptions) {
    const { pool, registry, universalResolver, head = 'finalized', offchain = {}, finalAgeMs = FINAL_AGE_MS } = options
    this.#pool = pool
    this.#registry = registry ?? MAINNET_REGISTRY
    this.#universalResolver = universalResolver ?? (registry === undefined ? MAINNET_UNIVERSAL_RESOLVER : undefined)
    this.#head = head
    this.#offchain = offchain
    this.#finalBlock = new FinalBlock(pool, finalAgeMs)
  }

  /**
   * What a name points to. All of it is read at one block; nothing is when that is the one of the answer before.
   * @throws INVALID_NAME when it cannot be one; NAME_NOT_RESOLVED when it has no resolver, or that refuses or answers
   *   rubbish; NAME_LOOP, UPSTREAM_FAILED as {@link callContract}
   */
  async contenthash(
    text: string,
    { signal, head = this.#head, before }: Abortable & { head?: EnsHead; before?: EnsAnswer | undefined } = {},
  ): Promise<EnsAnswer> {
    const name = parseEnsName(text)
    const waiting = signal === undefined ? {} : { signal }
    const block = head === 'finalized' ? await this.#finalBlock.get(waiting) : await pinBlock(this.#pool, head, waiting)
    if (before?.name === name && before.block.hash === block.hash && !before.isOffchain) return before
    let isOffchain = false
    const onOffchain = (): void => void (isOffchain = true)
    const call: CallOptions = { pool: this.#pool, block, offchain: this.#offchain, onOffchain, ...waiting }
    const asked = `${SELECTORS['contenthash(bytes32)']}${namehash(name).slice(2)}` as const
    const bytes = (await this.#askUniversal({ name, asked, call })) ?? (await this.#askRegistry({ name, asked, call }))
    return { name, block, content: bytes.length === 0 ? undefined : decodeContenthash(bytes), isOffchain }
  }

  /** Undefined where the chain has no such contract; whoever has one is not asked otherwise, also when that refuses. */
  async #askUniversal(question: Question): Promise<Uint8Array | undefined> {
    const { name, call } = question
    if (this.#universalResolver === undefined) return undefined
    const returned = await callContract(this.#universalResolver, extended(question), call)
    if (returned?.length === 0) return undefined
    return decoded(decoded(returned)) ?? notTold(name)
  }

  async #askRegistry(question: Question): Promise<Uint8Array> {
    const { name, asked, call } = question
    const { resolver, isOwn } = await this.#resolverOf(name, call)
    const told = (await isExtended(resolver, call))
      ? decoded(decoded(await callContract(resolver, extended(question), call)))
      : decoded(isOwn ? await callContract(resolver, asked, call) : undefined)
    return told ?? notTold(name)
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

interface Question {
  name: string
  /** The call that a resolver of the name itself would answer. */
  asked: Hex
  call: CallOptions
}

/** The call of ENSIP-10, which the Universal Resolver has too. */
function extended({ name, asked }: Question): Hex {
  const words = coder.encode(['bytes', 'bytes'], [dnsEncode(name), asked])
  return `${RESOLVE}${words.slice(2)}`
}

function notTold(name: string): never {
  throw new HoldfastError('NAME_NOT_RESOLVED', `The name ${name} has no resolver that tells its content.`)
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

function decoded(returned: Uint8Array | undefined): Uint8Array | undefined {
  return returned && decodeBytes(returned)
}
