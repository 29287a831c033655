import { keccak_256 } from '@noble/hashes/sha3.js'

/** The domain of our signatures (EIP-712): the chain and the contract where the root is anchored, zero where it is not. */
export interface SigningDomain {
  name: 'Holdfast'
  version: '1'
  chainId: number
  /** Hex. */
  verifyingContract: string
}

/** What one statement says: these holders had all of a DAG at that time. Times are seconds since 1970. */
export interface PinStatement {
  /** Binary, version 1. */
  cid: Uint8Array
  /** Bytes of the distinct blocks. */
  size: number
  /** Hash of the policy's canonical JSON. */
  policy: Uint8Array
  replicas: number
  /** Root of the Merkle tree over the nodes' statements. */
  holders: Uint8Array
  checkedAt: number
  validUntil: number
}

/** What the publisher signs: once for all statements. */
export interface SignedRoot {
  root: Uint8Array
  leaves: number
  takenAt: number
  /** Where the randomness of the challenges is from: `sourceText`. */
  seed: string
  /** Binary CID of a document with all statements; empty when there is none. */
  manifest: Uint8Array
}

/** Signs hashes with the secp256k1 key of the service. */
export interface Signer {
  /** Of the key, or of the contract that takes its signatures for its own (ERC-1271); hex. */
  address: string
  /** r, s and v: 65 bytes, hex. */
  sign(digest: Uint8Array): string
}

/** What is signed of a collection's report. */
export interface SignedReport {
  /** CAIP-19. */
  collection: string
  /** SHA-256 of the report. */
  report: Uint8Array
  blockNumber: bigint
  blockHash: Uint8Array
}

export const NO_CONTRACT = '0x0000000000000000000000000000000000000000'

const DOMAIN_TYPE = typeHash('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)')
const STATEMENT_TYPE = typeHash(
  'PinStatement(bytes cid,uint64 size,bytes32 policy,uint8 replicas,bytes32 holders,uint64 checkedAt,uint64 validUntil)',
)
const ROOT_TYPE = typeHash('PinStatements(bytes32 root,uint64 leaves,uint64 takenAt,string seed,bytes manifest)')
const REPORT_TYPE = typeHash('CollectionReport(string collection,bytes32 report,uint256 blockNumber,bytes32 blockHash)')

export function domainOf(chainId = 0, verifyingContract = NO_CONTRACT): SigningDomain {
  return { name: 'Holdfast', version: '1', chainId, verifyingContract: verifyingContract.toLowerCase() }
}

/** `hashStruct` of a statement (EIP-712): a leaf of the tree. */
export function statementHash(statement: PinStatement): Uint8Array {
  const { cid, size, policy, replicas, holders, checkedAt, validUntil } = statement
  const numbers = [word(checkedAt), word(validUntil)]
  return keccak(STATEMENT_TYPE, keccak(cid), word(size), policy, word(replicas), holders, ...numbers)
}

/** What is signed of a tree (EIP-712). */
export function rootDigest(domain: SigningDomain, signed: SignedRoot): Uint8Array {
  const { root, leaves, takenAt, seed, manifest } = signed
  const texts = [keccak(Buffer.from(seed)), keccak(manifest)]
  return digest(domain, keccak(ROOT_TYPE, root, word(leaves), word(takenAt), ...texts))
}

/** What is signed of a report (EIP-712). */
export function reportDigest(domain: SigningDomain, signed: SignedReport): Uint8Array {
  const { collection, report, blockNumber, blockHash } = signed
  return digest(domain, keccak(REPORT_TYPE, keccak(Buffer.from(collection)), report, word(blockNumber), blockHash))
}

/** Keccak-256 of the parts, one behind the other. */
export function keccak(...parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  return keccak_256(parts.length === 1 && only !== undefined ? only : Buffer.concat(parts))
}

/** With `0x`, as it stands in documents. */
export function hexOf(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`
}

function digest({ name, version, chainId, verifyingContract }: SigningDomain, struct: Uint8Array): Uint8Array {
  const texts = [keccak(Buffer.from(name)), keccak(Buffer.from(version))]
  const separator = keccak(DOMAIN_TYPE, ...texts, word(chainId), word(BigInt(verifyingContract)))
  return keccak(Buffer.from([0x19, 0x01]), separator, struct)
}

function typeHash(type: string): Uint8Array {
  return keccak(Buffer.from(type))
}

function word(value: number | bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
}
