import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { cidKey } from '../core/cid.ts'
import type { TokenVerdict } from '../core/collection-report/verdict.ts'
import { HoldfastError, type ErrorCode } from '../core/errors.ts'
import { RecentMap } from '../core/recent-map.ts'
import { MAX_METADATA_BYTES } from '../core/token-metadata/metadata.ts'
import { GIB, KIB, MIB } from '../core/units.ts'
import { readFile } from '../dag/read-file.ts'
import { walk } from '../dag/walk.ts'
import type { CheckedSource } from './checked-source.ts'
import { Paths } from './paths.ts'

export interface ContentLimits {
  /** Bytes of one asset that are read back here; of larger ones what their holders found counts. */
  assetBytes: number
  /** Bytes of all assets of a run. */
  runBytes: number
}

export const DEFAULT_CONTENT_LIMITS: ContentLimits = { assetBytes: 64 * MIB, runBytes: 64 * GIB }

/** Why content was not read, or did not match. */
export interface Loss {
  verdict: TokenVerdict
  reason: string
}

/** What became of reading something; `corruptAt` names those that gave wrong bytes, whether others had the right ones. */
export type Read<T> = { corruptAt: string[] } & ({ value: T; loss?: undefined } | { value?: undefined; loss: Loss })

/** Checks of assets that are remembered: many tokens share one. */
const MOST_REMEMBERED = 100_000
const MOST_FILES = 1_024
/** Blocks of one asset. */
const MOST_BLOCKS = 65_536

/** The content that tokens lead to, each read once, hashed, and judged by what went wrong. */
export class Contents {
  readonly #source: CheckedSource
  readonly #limits: ContentLimits
  readonly #paths = new Paths()
  readonly #assets = new RecentMap<string, Promise<Read<number>>>(MOST_REMEMBERED)
  readonly #files = new RecentMap<string, Promise<Read<Uint8Array>>>(MOST_FILES)
  #bytesRead = 0

  constructor(source: CheckedSource, limits: ContentLimits = DEFAULT_CONTENT_LIMITS) {
    this.#source = source
    this.#limits = limits
  }

  /** What a path leads to; with `literal` the other reading of it, if the first leads nowhere. */
  locate(
    root: CID,
    { path, literal }: { path: string; literal: string | undefined },
    options: Abortable,
  ): Promise<Read<CID>> {
    return attempt(async (corruptAt) => {
      const source = this.#source.reading(corruptAt)
      try {
        return await this.#paths.find(root, segmentsOf(path), source, options)
      } catch (error) {
        if (literal === undefined || !(error instanceof HoldfastError) || error.code !== 'NOT_FOUND') throw error
        return await this.#paths.find(root, segmentsOf(literal), source, options)
      }
    }, options)
  }

  /** A file of metadata, up to its limit. The bytes are not to be changed. */
  file(cid: CID, options: Abortable): Promise<Read<Uint8Array>> {
    return remembered(this.#files, cidKey(cid), () =>
      attempt(async (corruptAt) => {
        const chunks: Uint8Array[] = []
        let length = 0
        for await (const chunk of readFile(cid, this.#source.reading(corruptAt), {
          ...options,
          length: MAX_METADATA_BYTES + 1,
        })) {
          length += chunk.length
          chunks.push(Uint8Array.from(chunk))
        }
        if (length > MAX_METADATA_BYTES) throw new HoldfastError('PAYLOAD_TOO_LARGE', 'It is too large for metadata.')
        return Buffer.concat(chunks)
      }, options),
    )
  }

  /** Reads all of a DAG and answers its bytes. */
  asset(cid: CID, options: Abortable): Promise<Read<number>> {
    return remembered(this.#assets, cidKey(cid), () =>
      attempt(async (corruptAt) => {
        const maxBytes = Math.min(this.#limits.assetBytes, this.#limits.runBytes - this.#bytesRead)
        let bytes = 0
        const limits = { ...options, maxBytes, maxBlocks: MOST_BLOCKS }
        for await (const { length } of walk(cid, this.#source.reading(corruptAt), limits)) {
          bytes += length
          this.#bytesRead += length
        }
        return bytes
      }, options),
    )
  }

  /** Hex of the SHA-256 of a file. */
  sha256(cid: CID, options: Abortable): Promise<Read<string>> {
    return attempt(async (corruptAt) => {
      const hash = createHash('sha256')
      const length = this.#limits.assetBytes
      for await (const chunk of readFile(cid, this.#source.reading(corruptAt), { ...options, length }))
        hash.update(chunk)
      return hash.digest('hex')
    }, options)
  }
}

/** Files that are kept are small: hidden metadata that all tokens share until they are revealed. */
const MOST_KEPT_BYTES = 64 * KIB

/** The result for the key, made once and kept for the next, unless it was cut off or is large. */
function remembered<T>(
  kept: Map<string, Promise<Read<T>>>,
  key: string,
  make: () => Promise<Read<T>>,
): Promise<Read<T>> {
  const known = kept.get(key)
  if (known !== undefined) return known
  const made = make()
  kept.set(key, made)
  void forgetLarge(kept, key, made)
  return made
}

async function forgetLarge<T>(kept: Map<string, unknown>, key: string, made: Promise<Read<T>>): Promise<void> {
  try {
    const { value } = await made
    if (value instanceof Uint8Array && value.length > MOST_KEPT_BYTES) kept.delete(key)
  } catch {
    kept.delete(key)
  }
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}

async function attempt<T>(work: (corruptAt: Set<string>) => Promise<T>, { signal }: Abortable): Promise<Read<T>> {
  const corruptAt = new Set<string>()
  try {
    return { value: await work(corruptAt), corruptAt: [...corruptAt] }
  } catch (error) {
    signal?.throwIfAborted()
    const loss = error instanceof HoldfastError ? LOSSES[error.code] : undefined
    if (loss === undefined) throw error
    return { loss: { verdict: loss[0], reason: loss[1] }, corruptAt: [...corruptAt] }
  }
}

const LOSSES: Partial<Record<ErrorCode, readonly [TokenVerdict, string]>> = {
  BLOCK_MISSING: ['MISSING', 'NOBODY_HAS_IT'],
  NOT_FOUND: ['MISSING', 'NO_SUCH_PATH'],
  BAD_REQUEST: ['UNKNOWN', 'PATH_TOO_LONG'],
  NOT_A_FILE: ['INVALID_METADATA', 'NOT_A_FILE'],
  CORRUPT_BLOCK: ['CORRUPT', 'WRONG_BYTES'],
  MALFORMED_BLOCK: ['CORRUPT', 'MALFORMED'],
  PAYLOAD_TOO_LARGE: ['UNKNOWN', 'TOO_LARGE'],
  DAG_TOO_LARGE: ['UNKNOWN', 'TOO_LARGE'],
  DAG_TOO_DEEP: ['UNKNOWN', 'TOO_DEEP'],
  BLOCK_TOO_LARGE: ['UNKNOWN', 'TOO_LARGE'],
  UPSTREAM_FAILED: ['UNKNOWN', 'SOURCES_FAILED'],
  TIMED_OUT: ['UNKNOWN', 'SOURCES_FAILED'],
  HASH_NOT_ALLOWED: ['UNKNOWN', 'HASH_NOT_ALLOWED'],
  UNSUPPORTED_CODEC: ['UNKNOWN', 'UNSUPPORTED_CODEC'],
  INVALID_CID: ['UNKNOWN', 'INVALID_CID'],
}
