import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { CID } from 'multiformats/cid'
import type { Sql } from '../../services/catalog/database.ts'
import { hashToken } from '../../services/catalog/token-text.ts'
import type { ManifestEntry } from '../../services/core/block-source.ts'
import { cidKey } from '../../services/core/cid.ts'
import { rawPublicKey } from '../../services/core/node-key.ts'
import type { PossessionChallenge, PossessionReport } from '../../services/core/sync.ts'
import { walk } from '../../services/dag/walk.ts'
import { Outbox } from '../../services/node/outbox.ts'
import { Possessions } from '../../services/node/possessions.ts'
import type { Sync } from '../../services/scheduler/sync.ts'
import { MemoryBlocks } from './dag.ts'
import { addNode } from './node-rows.ts'
import { memoryLog } from './web.ts'

/** PKCS #8 of an Ed25519 key, before its 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

function keyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}

/** A node's disk and key, as far as challenges go: blocks in memory, answers by the real program. */
export class ProvingNode implements AsyncDisposable {
  readonly publicKey: string
  readonly blocks = new MemoryBlocks()
  readonly outbox = new Outbox()
  readonly possessions: Possessions
  readonly #manifests = new Map<string, ManifestEntry[]>()

  /** @param seed 32 bytes that its key is made of. @default by chance */
  constructor(seed?: Uint8Array) {
    const key = seed === undefined ? generateKeyPairSync('ed25519').privateKey : keyOf(seed)
    this.publicKey = rawPublicKey(key) ?? ''
    const identity = { sign: (message: string) => sign(null, Buffer.from(message), key).toString('base64url') }
    const manifests = this.#manifests
    const store = {
      root(cid: CID) {
        const entries = manifests.get(cidKey(cid))
        return entries && { cid, blocks: entries.length, bytes: entries.reduce((sum, { length }) => sum + length, 0) }
      },
      manifest: (cid: CID, from?: number, to?: number) => (manifests.get(cidKey(cid)) ?? []).slice(from, to),
      get: (cid: CID) => this.blocks.get(cid),
    }
    this.possessions = new Possessions({ store, identity, outbox: this.outbox, log: memoryLog().log })
  }

  /** Has a whole DAG from then on. */
  async hold(root: CID, source: MemoryBlocks): Promise<void> {
    const entries: ManifestEntry[] = []
    for await (const entry of walk(root, source)) {
      entries.push(entry)
      await this.blocks.put(entry.cid, (await source.get(entry.cid)) ?? new Uint8Array())
    }
    this.#manifests.set(cidKey(root), entries)
  }

  /** Loses blocks of a DAG, by their places, without noticing. */
  lose(root: CID, places: Iterable<number>): void {
    const entries = this.#manifests.get(cidKey(root)) ?? []
    for (const place of places) this.blocks.delete((entries[place] as ManifestEntry).cid)
  }

  /** Answers for one DAG with another. */
  pretend(root: CID, other: CID): void {
    this.#manifests.set(cidKey(root), this.#manifests.get(cidKey(other)) ?? [])
  }

  async answer(challenge: PossessionChallenge, signal = AbortSignal.timeout(10_000)): Promise<PossessionReport> {
    this.possessions.accept([challenge])
    await this.outbox.filled(signal)
    return this.outbox.takePossessions(1)[0] as PossessionReport
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.possessions[Symbol.asyncDispose]()
  }
}

const BEAT = { capacityBytes: 1, freeBytes: 1, storedBytes: 0, blocks: 0, roots: 0, addresses: [] }

/** Lets a node into the cluster of a database, and answers its number and how it takes and answers challenges there. */
export async function joinProving(
  sql: Sql,
  sync: Sync,
  node: ProvingNode,
  name: string,
): Promise<{ id: number; live: (signal: AbortSignal) => Promise<void> }> {
  const id = await addNode(sql, { name, region: name, publicKey: node.publicKey })
  const session = `session of ${name}`
  await sql.run('update node set session_hash = $2, inventory_at = now() where id = $1', [id, hashToken(session)])
  return {
    id,
    async live(signal) {
      let directory = ''
      while (!signal.aborted) {
        const possessions = node.outbox.takePossessions(50)
        const request = { beat: BEAT, reports: [], possessions, challenges: node.possessions.free, slots: 0, directory }
        try {
          const waitMs = possessions.length > 0 ? 0 : 100
          const answer = await sync.sync(session, { ...request, waitMs }, signal)
          directory = answer.directory?.version ?? directory
          node.possessions.accept(answer.challenges ?? [])
        } catch (error) {
          if (!signal.aborted) throw error
        }
      }
    },
  }
}
