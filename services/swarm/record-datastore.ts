import { BaseDatastore } from 'datastore-core'
import { Key, type KeyQuery, type Pair, type Query } from 'interface-datastore'
import { NotFoundError } from 'interface-store'
import { base32 } from 'multiformats/bases/base32'
import { HoldfastError } from '../core/errors.ts'
import { MIB } from '../core/units.ts'

/** Where js kad-dht keeps provider records: `/dht/provider/{digest}/{peer id}`. */
const PROVIDERS = '/dht/provider'
/** Where it keeps values that others store with us. */
const VALUES = '/dht/record'
/** Values can be larger than provider records by far: an IPNS record has up to 10 KiB. */
const MAX_VALUE_BYTES = 64 * MIB

interface RecordDatastoreOptions {
  /** This peer's id. */
  self: string
  /** Records of strangers; the oldest go. */
  maxRecords: number
  /** Bytes of values among them. @default 64 MiB */
  maxValueBytes?: number
  /** Whether a value of the DHT, as it is stored, is older than the one it would replace. */
  isOlder?: (next: Uint8Array, known: Uint8Array) => boolean
  /** What this machine has itself under a key of the DHT, in that form. */
  stored?: (key: Uint8Array) => Promise<Uint8Array | undefined>
}

/**
 * The records of libp2p and the DHT in memory, for one process's life: peers and records come back from the network.
 *
 * Unlike `MemoryDatastore` it is bounded (strangers decide how many records they store with us; the oldest go), refuses
 * a value that is older than the known one (js kad-dht would take it, and an old IPNS record be new again), finds the
 * providers of one CID without scanning all of them, and shows the DHT's hourly re-provide scan only the records
 * of others, which it expires. Our own are provided again by `providing.ts`: the scan would queue all of them at once.
 */
export class RecordDatastore extends BaseDatastore {
  readonly #self: string
  readonly #maxRecords: number
  readonly #maxValueBytes: number
  readonly #isOlder: (next: Uint8Array, known: Uint8Array) => boolean
  readonly #stored: (key: Uint8Array) => Promise<Uint8Array | undefined>
  /** Everything that is not a stranger's record. */
  readonly #own = new Map<string, Uint8Array>()
  /** Records of strangers, oldest first. */
  readonly #records = new Map<string, Uint8Array>()
  /** Keys of strangers' provider records by their prefix, `/dht/provider/{digest}`. */
  readonly #providers = new Map<string, Set<string>>()

  /** The values among them, oldest first, and their bytes. */
  readonly #values = new Set<string>()
  #valueBytes = 0

  constructor(options: RecordDatastoreOptions) {
    super()
    const { self, maxRecords, maxValueBytes = MAX_VALUE_BYTES, isOlder = () => false, stored = noneStored } = options
    this.#self = self
    this.#maxRecords = maxRecords
    this.#maxValueBytes = maxValueBytes
    this.#isOlder = isOlder
    this.#stored = stored
  }

  /** Records that strangers store with us. */
  get size(): number {
    return this.#records.size
  }

  /** @throws CONFLICT for a value of the DHT that is older than the known one */
  override put(key: Key, value: Uint8Array): Key {
    const name = key.toString()
    if (!this.#isStrangers(name)) {
      this.#own.set(name, value)
      return key
    }
    if (isValue(name)) this.#refuseOlder(name, value)
    this.#forget(name)
    this.#records.set(name, value)
    if (isValue(name)) this.#countValue(name, value)
    else this.#groupOf(name).add(name)
    if (this.#records.size > this.#maxRecords) this.#forget(this.#records.keys().next().value ?? name)
    return key
  }

  /** Of a value of the DHT: the newer of the one that others stored here and the one that this machine has itself. */
  override get(key: Key): Uint8Array | Promise<Uint8Array> {
    const name = key.toString()
    if (isValue(name)) return this.#newestValue(name)
    const value = this.#own.get(name) ?? this.#records.get(name)
    if (value === undefined) throw new NotFoundError()
    return value
  }

  override has(key: Key): boolean {
    const name = key.toString()
    return this.#own.has(name) || this.#records.has(name)
  }

  override delete(key: Key): void {
    const name = key.toString()
    this.#own.delete(name)
    this.#forget(name)
  }

  override *_all({ prefix = '' }: Query): Generator<Pair> {
    for (const name of this.#names(prefix)) {
      const value = this.#own.get(name) ?? this.#records.get(name)
      if (value !== undefined) yield { key: new Key(name, false), value }
    }
  }

  override *_allKeys({ prefix = '' }: KeyQuery): Generator<Key> {
    for (const name of this.#names(prefix)) yield new Key(name, false)
  }

  #names(prefix: string): Iterable<string> {
    if (prefix === PROVIDERS) return this.#records.keys()
    if (prefix.startsWith(`${PROVIDERS}/`)) return this.#providersOf(prefix)
    return [...this.#own.keys(), ...this.#records.keys()]
  }

  *#providersOf(prefix: string): Generator<string> {
    const own = `${prefix}/${this.#self}`
    if (this.#own.has(own)) yield own
    yield* this.#providers.get(prefix) ?? []
  }

  async #newestValue(name: string): Promise<Uint8Array> {
    const own = await this.#stored(base32.baseDecode(name.slice(VALUES.length + 1)))
    const known = this.#records.get(name)
    if (own !== undefined && (known === undefined || this.#isOlder(known, own))) return own
    if (known === undefined) throw new NotFoundError()
    return known
  }

  #refuseOlder(name: string, value: Uint8Array): void {
    const known = this.#records.get(name)
    if (known !== undefined && this.#isOlder(value, known)) {
      throw new HoldfastError('CONFLICT', 'A newer value is known.')
    }
  }

  #countValue(name: string, { length }: Uint8Array): void {
    this.#values.add(name)
    this.#valueBytes += length
    for (const oldest of this.#values) {
      if (this.#valueBytes <= this.#maxValueBytes) return
      this.#forget(oldest)
    }
  }

  #isStrangers(name: string): boolean {
    if (isValue(name)) return true
    return name.startsWith(`${PROVIDERS}/`) && !name.endsWith(`/${this.#self}`)
  }

  #groupOf(name: string): Set<string> {
    const prefix = parentOf(name)
    const known = this.#providers.get(prefix)
    if (known !== undefined) return known
    const made = new Set<string>()
    this.#providers.set(prefix, made)
    return made
  }

  #forget(name: string): void {
    const record = this.#records.get(name)
    if (record === undefined) return
    this.#records.delete(name)
    if (this.#values.delete(name)) this.#valueBytes -= record.length
    const prefix = parentOf(name)
    const group = this.#providers.get(prefix)
    group?.delete(name)
    if (group?.size === 0) this.#providers.delete(prefix)
  }
}

function noneStored(): Promise<undefined> {
  return Promise.resolve(undefined)
}

function isValue(name: string): boolean {
  return name.startsWith(`${VALUES}/`)
}

function parentOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/'))
}
