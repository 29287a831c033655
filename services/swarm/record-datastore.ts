import { BaseDatastore } from 'datastore-core'
import { Key, type KeyQuery, type Pair, type Query } from 'interface-datastore'
import { NotFoundError } from 'interface-store'

/** Where js kad-dht keeps provider records: `/dht/provider/{digest}/{peer id}`. */
const PROVIDERS = '/dht/provider'
/** Where it keeps values that others store with us. */
const VALUES = '/dht/record'

/**
 * The records of libp2p and the DHT in memory, for one process's life: peers and records come back from the network.
 *
 * Unlike `MemoryDatastore` it is bounded (strangers decide how many records they store with us; the oldest go), finds
 * the providers of one CID without scanning all of them, and shows the DHT's hourly re-provide scan only the records
 * of others, which it expires. Our own are provided again by `providing.ts`: the scan would queue all of them at once.
 */
export class RecordDatastore extends BaseDatastore {
  readonly #self: string
  readonly #maxRecords: number
  /** Everything that is not a stranger's record. */
  readonly #own = new Map<string, Uint8Array>()
  /** Records of strangers, oldest first. */
  readonly #records = new Map<string, Uint8Array>()
  /** Keys of strangers' provider records by their prefix, `/dht/provider/{digest}`. */
  readonly #providers = new Map<string, Set<string>>()

  constructor(options: { self: string; maxRecords: number }) {
    super()
    this.#self = options.self
    this.#maxRecords = options.maxRecords
  }

  /** Records that strangers store with us. */
  get size(): number {
    return this.#records.size
  }

  override put(key: Key, value: Uint8Array): Key {
    const name = key.toString()
    if (!this.#isStrangers(name)) {
      this.#own.set(name, value)
      return key
    }
    this.#forget(name)
    this.#records.set(name, value)
    if (name.startsWith(`${PROVIDERS}/`)) this.#groupOf(name).add(name)
    if (this.#records.size > this.#maxRecords) this.#forget(this.#records.keys().next().value ?? name)
    return key
  }

  override get(key: Key): Uint8Array {
    const name = key.toString()
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

  #isStrangers(name: string): boolean {
    if (name.startsWith(`${VALUES}/`)) return true
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
    if (!this.#records.delete(name)) return
    const prefix = parentOf(name)
    const group = this.#providers.get(prefix)
    group?.delete(name)
    if (group?.size === 0) this.#providers.delete(prefix)
  }
}

function parentOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/'))
}
