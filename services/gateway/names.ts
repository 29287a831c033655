import type { Abortable } from '../core/block-source.ts'
import type { CID } from 'multiformats/cid'
import { hasCode, HoldfastError } from '../core/errors.ts'
import { DAY_MS } from '../core/units.ts'
import { parseName, type Name } from '../naming/name.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import { ttlMs, validateIpnsRecord, validUntilMs, type IpnsRecord } from '../naming/ipns-record.ts'
import type { FollowedEns, NameResolver } from '../naming/name-resolver.ts'
import type { RecordStore } from '../naming/record-store.ts'
import { parseKey } from './name-text.ts'

/** What a name stands for just now: a place under an immutable root. */
interface NamedPlace {
  root: CID
  /** The way from the root to what the name stands for. */
  segments: readonly string[]
  /** How long caches may keep what was found there. */
  maxAgeMs: number
  /** What the chain said on the way. */
  ens?: FollowedEns | undefined
}

/** The best record that is known of a key, in the very bytes in which it came. */
interface NameRecord {
  bytes: Uint8Array
  /** How long caches may keep it: its TTL, but no longer than it is valid, and a day at most. */
  maxAgeMs: number
  /** Until it is not valid any more. */
  validMs: number
}

/** How a name is to be followed. */
interface Resolving extends Abortable {
  /** It is a name of ENS, whatever it ends in. */
  isEns?: boolean
  /** Names of ENS are read in the newest block, which may yet be taken back. */
  isNewest?: boolean
}

/** What a gateway asks of names: keys (IPNS), domains (DNSLink) and names of ENS. */
export interface Names {
  /**
   * Whether the domain has a DNSLink, or the name of ENS content.
   * @throws OTHER_NETWORK, NOT_IMPLEMENTED; UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE when DNS or the chain does not answer
   */
  isLinked(domain: string, options: Abortable & Pick<Resolving, 'isEns'>): Promise<boolean>
  /**
   * Follows a key, a domain or a name of ENS, in any form, to what it stands for.
   * @throws NAME_NOT_RESOLVED, NAME_LOOP, OTHER_NETWORK, NOT_IMPLEMENTED, UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE
   */
  resolve(name: string, options: Resolving): Promise<NamedPlace>
  /**
   * Undefined when no valid one is known; with `isLocal` nobody else is asked, with `isRevalidated` everybody, also when a
   * record is known.
   */
  record(
    name: IpnsName,
    options: Abortable & { isLocal?: boolean; isRevalidated?: boolean },
  ): Promise<NameRecord | undefined>
  /**
   * Takes a signed record of a key; one that is older than the known one changes nothing.
   * @throws INVALID_RECORD when it is not a valid record of that key; STORAGE_FULL, STORAGE_FAILED
   */
  publish(name: IpnsName, record: Uint8Array, options: Abortable): Promise<void>
}

/** Records that are kept, by this process or by another. */
export type KeptRecords = Pick<RecordStore, 'label' | 'get' | 'put'>

/** Names as this node resolves and keeps them. */
export function namesOf({ resolver, store }: { resolver: NameResolver; store: KeptRecords }): Names {
  async function found(
    name: IpnsName,
    options: Abortable & { isRevalidated?: boolean },
  ): Promise<IpnsRecord | undefined> {
    try {
      return await resolver.record(name, options)
    } catch (error) {
      if (hasCode(error, 'NAME_NOT_RESOLVED')) return undefined
      throw error
    }
  }

  async function stored(name: IpnsName): Promise<IpnsRecord | undefined> {
    const bytes = await store.get(name, {})
    try {
      return bytes && validateIpnsRecord(name, bytes, Date.now())
    } catch (error) {
      if (hasCode(error, 'INVALID_RECORD')) return undefined
      throw error
    }
  }

  return {
    async isLinked(domain, { isEns = false, ...options }) {
      const name = domainOf(domain, isEns)
      return (await resolver.link(name, options)) !== undefined
    },
    async resolve(name, { isEns = false, ...options }) {
      const key = isEns ? undefined : parseKey(name)
      const asked = key === undefined ? domainOf(name, isEns) : ({ kind: 'key', key } as const)
      const { root, segments, ttlMs: lifetime, ens } = await resolver.resolve(asked, [], options)
      return { root, segments, maxAgeMs: Math.min(lifetime, DAY_MS), ens }
    },
    async record(name, options) {
      const record = options.isLocal === true ? await stored(name) : await found(name, options)
      if (record === undefined) return undefined
      const validMs = Math.max(0, validUntilMs(record) - Date.now())
      return { bytes: record.bytes, maxAgeMs: Math.min(ttlMs(record), validMs, DAY_MS), validMs }
    },
    async publish(name, bytes) {
      resolver.offer(name, await store.put(name, validateIpnsRecord(name, bytes, Date.now())))
    },
  }
}

/** @throws INVALID_NAME */
function domainOf(text: string, isEns: boolean): Exclude<Name, { kind: 'key' }> {
  const name = parseName(isEns ? `ens://${text}` : text)
  if (name.kind !== 'key') return name
  throw new HoldfastError('INVALID_NAME', 'A domain has at least two labels.')
}

/** A gateway that knows no names. */
export const NO_NAMES: Names = {
  isLinked: () => Promise.resolve(false),
  resolve: () => Promise.reject(new HoldfastError('NAME_NOT_RESOLVED', 'This gateway resolves no names.')),
  record: () => Promise.resolve(undefined),
  publish: () => Promise.reject(new HoldfastError('NOT_IMPLEMENTED', 'This gateway takes no records.')),
}
