import { varint } from 'multiformats'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { create as multihash } from 'multiformats/hashes/digest'
import { checkCid, DAG_PB, IDENTITY, LIBP2P_KEY, SHA2_256 } from '../../core/cid.ts'
import { HoldfastError } from '../../core/errors.ts'

/** What the `contenthash` record of an ENS name says (ENSIP-7). */
export type Contenthash =
  | { network: 'ipfs'; root: CID }
  /** `name` is what stands after `/ipns/`: a key in base36, or a domain with a DNSLink as old tools wrote it. */
  | { network: 'ipns'; name: string }
  /** Content that is not on IPFS. */
  | { network: 'swarm' | 'arweave' | 'skynet' | 'onion' }

const IPFS = 0xe3
const IPNS = 0xe5
/** https://github.com/multiformats/multicodec/blob/master/table.csv */
const ELSEWHERE = new Map<number, 'swarm' | 'arweave' | 'skynet' | 'onion'>([
  [0xe4, 'swarm'],
  [0xb2_99_10, 'arweave'],
  [0xb1_99_10, 'skynet'],
  [0x01_bc, 'onion'],
  [0x01_bd, 'onion'],
])

/** A domain has 253 characters, a CID less; content of other networks is not looked at. */
const MAX_CONTENTHASH_BYTES = 512
const SHA2_256_BYTES = 32
/** A protobuf of a public key begins with the key's type. */
const KEY_TYPE_FIELD = 0x08
const DOMAIN = /^(?=.{3,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$/i

/**
 * Reads a `contenthash`; an empty one is for the caller to tell apart.
 * @throws NAME_NOT_RESOLVED when it is none, or names content that is not accepted here; the cause says why
 */
export function decodeContenthash(bytes: Uint8Array): Contenthash {
  try {
    if (bytes.length > MAX_CONTENTHASH_BYTES) throw new RangeError('It is too long.')
    const [code, length] = varint.decode(bytes)
    const value = bytes.subarray(length)
    if (code === IPFS) return { network: 'ipfs', root: checkCid(CID.decode(value)) }
    if (code === IPNS) return { network: 'ipns', name: nameIn(CID.decode(value)) }
    const network = ELSEWHERE.get(code)
    if (network !== undefined && value.length > 0) return { network }
    throw new RangeError(`The network 0x${code.toString(16)} is not known.`)
  } catch (cause) {
    throw new HoldfastError('NAME_NOT_RESOLVED', 'The contenthash of the name is none that can be read.', { cause })
  }
}

/** Keys have the codec libp2p-key, or DAG-PB from before there was one. Domains stand in an identity hash. */
function nameIn({ code, multihash: { code: hash, digest } }: CID): string {
  if (code !== LIBP2P_KEY && code !== DAG_PB) throw new RangeError('It is the CID of content, not of a key.')
  const isHashed = hash === SHA2_256 && digest.length === SHA2_256_BYTES
  const isInline = hash === IDENTITY && digest[0] === KEY_TYPE_FIELD
  if (isHashed || isInline) return CID.createV1(LIBP2P_KEY, multihash(hash, digest)).toString(base36)
  const domain = new TextDecoder('utf-8', { fatal: true }).decode(digest)
  if (hash !== IDENTITY || !DOMAIN.test(domain)) throw new RangeError('It names neither a key nor a domain.')
  return domain.toLowerCase()
}
