import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { parseIpnsName, type IpnsName } from './ipns-name.ts'
import { hasEnded, verifyIpnsRecord, type IpnsRecord } from './ipns-record.ts'
import { compareRecords } from './newer-record.ts'
import type { RecordSource } from './record-source.ts'

/** Names that a store keeps records of. Each takes one small file. */
const MAX_NAMES = 100_000
/** Records of other names that are looked at for one that has ended when the store is full. */
const LOOKED_AT_WHEN_FULL = 64
const INCOMING = 'incoming'
/** Folders and files of the store; whatever else lies there is left alone. */
const SHELF = /^[0-9a-z]{2}$/
const NAME = /^k[0-9a-z]{50,}$/

/** The newest record of each name, on this node's disk. One process writes; any number may read. */
export interface RecordStore extends RecordSource {
  /** Names with a record. */
  readonly size: number
  /**
   * Keeps a verified record if it is newer than the one that is there; it is on disk when this resolves.
   * @returns the newest of the two, which is what the store now has
   * @throws STORAGE_FULL when it has as many names as it may have, or the disk is full; STORAGE_FAILED
   */
  put(name: IpnsName, record: IpnsRecord): Promise<IpnsRecord>
  /** Forgets the name; harmless when it is not known. */
  delete(name: IpnsName): Promise<void>
}

export interface RecordStoreOptions {
  /** Default 100,000. */
  maxNames?: number
  /** Milliseconds since 1970. */
  nowMs?: () => number
}

/**
 * Opens a store: one file for each name, in folders by the end of the name. A record is written beside and renamed into
 * its place, so that after a crash each name has its old record or its new one.
 * @throws STORAGE_FULL, STORAGE_FAILED
 */
export async function openRecordStore(folder: string, options: RecordStoreOptions = {}): Promise<RecordStore> {
  try {
    // What a crash left half-written.
    await rm(join(folder, INCOMING), { recursive: true, force: true })
    await mkdir(join(folder, INCOMING), { recursive: true })
    let names = 0
    for (const shelf of await readdir(folder)) {
      if (SHELF.test(shelf)) names += (await namesOn(join(folder, shelf))).length
    }
    return new FileRecordStore(folder, names, options)
  } catch (cause) {
    throw cause instanceof HoldfastError ? cause : diskFailure(cause)
  }
}

/** What a store in that folder has, for processes that do not write it. */
export function recordsIn(folder: string): RecordSource {
  return { label: 'disk', get: (name) => readRecord(folder, name) }
}

async function readRecord(folder: string, name: IpnsName): Promise<Uint8Array | undefined> {
  try {
    return await readFile(fileOf(folder, name))
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw diskFailure(cause)
  }
}

class FileRecordStore implements RecordStore {
  readonly label = 'disk'
  readonly #folder: string
  readonly #maxNames: number
  readonly #nowMs: () => number
  /** The write of each name that is under way, and that the next one waits for. */
  readonly #writes = new Map<string, Promise<unknown>>()
  #names: number

  constructor(folder: string, names: number, { maxNames = MAX_NAMES, nowMs = Date.now }: RecordStoreOptions) {
    this.#folder = folder
    this.#names = names
    this.#maxNames = maxNames
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#names
  }

  get(name: IpnsName): Promise<Uint8Array | undefined> {
    return readRecord(this.#folder, name)
  }

  put(name: IpnsName, record: IpnsRecord): Promise<IpnsRecord> {
    return this.#inTurn(name, async () => {
      const bytes = await this.get(name)
      const known = bytes && intact(name, bytes)
      if (known !== undefined && compareRecords(record, known) <= 0) return known
      if (bytes === undefined) await this.#takePlace(name)
      try {
        await this.#write(name, record.bytes)
      } catch (cause) {
        if (bytes === undefined) this.#names -= 1
        throw cause
      }
      return record
    })
  }

  delete(name: IpnsName): Promise<void> {
    return this.#inTurn(name, () => this.#remove(name))
  }

  async #remove(name: IpnsName): Promise<void> {
    try {
      await rm(fileOf(this.#folder, name))
      this.#names -= 1
    } catch (cause) {
      if (!isMissing(cause)) throw diskFailure(cause)
    }
  }

  async #inTurn<T>(name: IpnsName, work: () => Promise<T>): Promise<T> {
    const before = this.#writes.get(name.text) ?? Promise.resolve()
    const mine = before.then(work, work)
    this.#writes.set(name.text, mine)
    try {
      return await mine
    } finally {
      if (this.#writes.get(name.text) === mine) this.#writes.delete(name.text)
    }
  }

  /** A full store gives the place of a record that has ended; those that have not are never given up. */
  async #takePlace(name: IpnsName): Promise<void> {
    if (this.#names >= this.#maxNames) await this.#makeRoom(name)
    this.#names += 1
  }

  async #makeRoom(name: IpnsName): Promise<void> {
    const neighbours = await namesOn(shelfOf(this.#folder, name))
    for (const text of neighbours.slice(0, LOOKED_AT_WHEN_FULL)) {
      const neighbour = parseIpnsName(text)
      const bytes = await this.get(neighbour)
      const record = bytes && intact(neighbour, bytes)
      if (record !== undefined && !hasEnded(record, this.#nowMs())) continue
      await this.delete(neighbour)
      return
    }
    throw new HoldfastError('STORAGE_FULL', `This node keeps the records of ${this.#maxNames} names and takes no more.`)
  }

  async #write(name: IpnsName, bytes: Uint8Array): Promise<void> {
    const incoming = join(this.#folder, INCOMING, randomUUID())
    try {
      await writeDurably(incoming, bytes)
      const made = await mkdir(shelfOf(this.#folder, name), { recursive: true })
      if (made !== undefined) await syncFolder(this.#folder)
      await rename(incoming, fileOf(this.#folder, name))
      await syncFolder(shelfOf(this.#folder, name))
    } catch (cause) {
      await rm(incoming, { force: true }).catch(() => {})
      throw diskFailure(cause)
    }
  }

  /** The last two characters of a name are as random as its key. */
}

function shelfOf(folder: string, name: IpnsName): string {
  return join(folder, name.text.slice(-2))
}

function fileOf(folder: string, name: IpnsName): string {
  return join(shelfOf(folder, name), name.text)
}

async function namesOn(shelf: string): Promise<string[]> {
  try {
    return (await readdir(shelf)).filter((file) => NAME.test(file))
  } catch (cause) {
    if (isMissing(cause)) return []
    throw diskFailure(cause)
  }
}

/** The record, unless the disk damaged it: then any record may take its place. */
function intact(name: IpnsName, bytes: Uint8Array): IpnsRecord | undefined {
  try {
    return verifyIpnsRecord(name, bytes)
  } catch (cause) {
    if (hasCode(cause, 'INVALID_RECORD')) return undefined
    throw cause
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx')
  await file.writeFile(bytes)
  await file.datasync()
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT'
}

function diskFailure(cause: unknown): HoldfastError {
  const { code } = cause as NodeJS.ErrnoException
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  if (isFull) return new HoldfastError('STORAGE_FULL', 'The disk for IPNS records is full.', { cause })
  return new HoldfastError('STORAGE_FAILED', `IPNS records cannot be kept on disk (${code ?? 'unknown'}).`, { cause })
}
