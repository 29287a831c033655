import { hash } from 'node:crypto'
import { blake2b } from '@noble/hashes/blake2.js'
import { blake3 } from '@noble/hashes/blake3.js'
import { from } from 'multiformats/hashes/hasher'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import { sha512 } from 'multiformats/hashes/sha2'
import { BLAKE2B_256, BLAKE3, SHA1 } from '../core/cid.ts'

/** Hash functions of `core/cid.ts` that Helia does not know by itself: without them bitswap cannot name such blocks. */
export const HASHERS: MultihashHasher[] = [
  sha512,
  from({ name: 'sha1', code: SHA1, encode: (bytes) => hash('sha1', bytes, 'buffer') }),
  from({ name: 'blake2b-256', code: BLAKE2B_256, encode: (bytes) => blake2b(bytes, { dkLen: 32 }) }),
  from({ name: 'blake3', code: BLAKE3, encode: (bytes) => blake3(bytes) }),
]
