import type { AddOptions } from '@helia/unixfs'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { HoldfastError } from '../core/errors.ts'
import { KIB, MIB } from '../core/units.ts'
import { leafImporter } from './file-leaf.ts'

/** Sets of rules under which the same files get the same CIDs everywhere (IPIP-499). */
export const PROFILES = ['unixfs-v1-2025', 'unixfs-v0-2015'] as const
export type ProfileName = (typeof PROFILES)[number]
export const DEFAULT_PROFILE: ProfileName = 'unixfs-v1-2025'

export interface Profile {
  cidVersion: 0 | 1
  rawLeaves: boolean
  chunkBytes: number
  /** Links of one node of a file. */
  fileLinks: number
  /**
   * What is compared with the limit that turns a directory into a HAMT: the exact bytes of its block, or the older
   * estimate, names and CIDs alone.
   */
  directorySize: 'block' | 'links'
}

/** A directory larger than this, by the rule of its profile, becomes a HAMT. */
export const HAMT_THRESHOLD_BYTES = 256 * KIB
export const HAMT_FANOUT = 256

const PROFILE_RULES: Record<ProfileName, Profile> = {
  'unixfs-v1-2025': { cidVersion: 1, rawLeaves: true, chunkBytes: MIB, fileLinks: 1_024, directorySize: 'block' },
  'unixfs-v0-2015': { cidVersion: 0, rawLeaves: false, chunkBytes: 256 * KIB, fileLinks: 174, directorySize: 'links' },
}

/** @throws BAD_REQUEST when there is no such profile */
export function profileNamed(name: string): Profile {
  const known = PROFILES.find((profile) => profile === name)
  if (known !== undefined) return PROFILE_RULES[known]
  throw new HoldfastError(
    'BAD_REQUEST',
    `There is no profile ${JSON.stringify(name)}; there are ${PROFILES.join(', ')}.`,
  )
}

/**
 * The profile in the words of `@helia/unixfs`. Its own `profile` option is not enough: it yields to the defaults that
 * `@helia/unixfs` sets before it (CID version, raw leaves, chunks, links), which are those of v1 only. The content comes in
 * chunks already, each good until the next, so that leaves are written one at a time: hashing is on this thread anyway.
 */
export function importOptions(profile: Profile): AddOptions {
  return {
    cidVersion: profile.cidVersion,
    rawLeaves: profile.rawLeaves,
    chunker: (chunks) => chunks,
    layout: balanced({ maxChildrenPerNode: profile.fileLinks }),
    blockWriteConcurrency: 1,
    bufferImporter: leafImporter(profile),
  }
}
