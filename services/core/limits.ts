import { KIB, MIB } from './units.ts'

/**
 * Hard limits, checked before anything is decoded or allocated (docs/contracts.md).
 * One larger input must cost us no more than reading the length that gives it away.
 */

/** A CID as text. 10 MB identity CIDs cost 4 s and 515 MB when decoded first. */
export const MAX_CID_TEXT = 512
/** Bytes inside an identity CID: an inlined leaf, never a tree. */
export const MAX_IDENTITY_BYTES = 128
/** Bytes of any other digest: shorter ones can be collided. */
export const MIN_DIGEST_BYTES = 20
/** A block: the largest that every bitswap peer accepts. */
export const MAX_BLOCK_BYTES = 2 * MIB
/** The longest binary CID that can stand before a block: version, codec, hash code, length, 64 byte digest or identity. */
export const MAX_CID_BYTES = 160
export const MAX_CAR_SECTION_BYTES = MAX_BLOCK_BYTES + MAX_CID_BYTES
export const MAX_CAR_ROOTS = 256
export const MAX_CAR_HEADER_BYTES = 64 * KIB
export const MAX_DAG_DEPTH = 1_024
export const MAX_PATH_SEGMENTS = 256
export const MAX_CODEC_DEPTH = 512
export const MAX_HAMT_FANOUT = 1_024
export const MAX_HEADER_BYTES = 16 * KIB
/** Links that a walk may hold back on the way down: bounds what a tree of full blocks can make it remember. */
export const MAX_PENDING_LINKS = 524_288
/** One name in an uploaded path, in UTF-8. Keeps a directory shard of 256 names far below a block. */
export const MAX_NAME_BYTES = 1_024
