import { CID } from 'multiformats/cid'
import type { Database } from '../catalog/database.ts'
import { readDirectory } from '../catalog/directory.ts'
import { applyInventory, noteInventory } from '../catalog/inventory.ts'
import { holdSession, recordBeat, type NodeSession } from '../catalog/nodes-beat.ts'
import { createChallenge } from '../catalog/nodes-joining.ts'
import { applyReports } from '../catalog/replicas-reports.ts'
import { claimWork, returnWork, type ClaimedWork } from '../catalog/replicas-work.ts'
import { hashToken } from '../catalog/token-text.ts'
import { RECONCILE, type Wakes } from '../catalog/wake.ts'
import { cidKey } from '../core/cid.ts'
import type {
  Directory,
  InventorySlice,
  Registered,
  Registration,
  SyncRequest,
  SyncResponse,
  Work,
} from '../core/sync.ts'
import { Bell } from './bell.ts'
import { DIRECTORY, NODE } from './channels.ts'
import { register } from './register.ts'
import { DEFAULT_SCHEDULER_SETTINGS, type SchedulerSettings } from './settings.ts'

/** The control plane's side of the exchange in core/sync.ts, without HTTP. */
export interface Sync {
  challenge(): Promise<{ challenge: string }>
  /** @throws UNAUTHORIZED, CONFLICT */
  register(registration: Registration): Promise<Registered>
  /**
   * Takes a node's beat and reports, and answers its work: at once when there is something to say, else when there is or
   * `waitMs` have passed.
   * @param session the text that its registration was answered
   * @throws STALE_SESSION when the node has to register again
   */
  sync(session: string, request: SyncRequest, signal: AbortSignal): Promise<SyncResponse>
}

type SyncSettings = Pick<
  SchedulerSettings,
  'leaseMs' | 'retryMs' | 'maxRetryMs' | 'inventoryEveryMs' | 'maxWaitMs' | 'lookMs' | 'defaultMaxBytes'
>

export function createSync(
  db: Database,
  { wakes, settings = {} }: { wakes: Wakes; settings?: Partial<SyncSettings> },
): Sync {
  const all: SyncSettings = { ...DEFAULT_SCHEDULER_SETTINGS, ...settings }
  const directory = cachedDirectory(db, wakes, all.lookMs)

  return {
    async challenge() {
      return { challenge: await createChallenge(db) }
    },
    async register(registration) {
      const registered = await register(db, registration)
      wakes.announce(DIRECTORY)
      return registered
    },
    async sync(session, request, signal) {
      const node = await recordBeat(db, hashToken(session), request.beat, all.inventoryEveryMs)
      if (node.hasMoved) wakes.announce(DIRECTORY)
      const stale = await takeReports(db, node, request, all)
      if (request.inventory !== undefined || request.reports.some(({ outcome }) => outcome !== 'progress')) {
        wakes.announce(RECONCILE)
      }
      const inventoryWanted = node.inventoryWanted && request.inventory === undefined
      const isNews = stale.length > 0
      const { work, directory: found } = await nextWork(request, { node, isNews, signal })
      return {
        work: work.map((claimed) => toWork(claimed, all.leaseMs)),
        ...(found.version !== request.directory && { directory: found }),
        inventoryWanted,
        stale,
      }
    },
  }

  /** Looks again at every hint for this node, and from time to time by itself, until there is something to say. */
  async function nextWork(
    request: SyncRequest,
    { node, isNews, signal }: { node: NodeSession; isNews: boolean; signal: AbortSignal },
  ): Promise<{ work: ClaimedWork[]; directory: Directory }> {
    const bell = new Bell()
    const stops = [
      wakes.on(NODE, (key) => {
        if (key === undefined || key === String(node.nodeId)) bell.ring()
      }),
      wakes.on(DIRECTORY, bell.ring),
    ]
    const deadline = performance.now() + Math.min(request.waitMs, all.maxWaitMs)
    try {
      for (;;) {
        signal.throwIfAborted()
        const work = await claimWork(db, node, { ...all, slots: request.slots })
        const current = await directory.read()
        if (signal.aborted) await returnWork(db, node.nodeId, work)
        signal.throwIfAborted()
        const leftMs = deadline - performance.now()
        if (work.length > 0 || isNews || current.version !== request.directory || leftMs <= 0) {
          if (work.some(({ verb }) => verb === 'hold')) wakes.announce(RECONCILE)
          return { work, directory: current }
        }
        await bell.wait(Math.min(leftMs, all.lookMs), signal)
      }
    } finally {
      for (const stop of stops) stop()
    }
  }
}

/** Applies what the node says, for as long as its session is the present one. */
async function takeReports(
  db: Database,
  node: NodeSession,
  { reports, inventory }: SyncRequest,
  settings: SyncSettings,
): Promise<string[]> {
  if (reports.length === 0 && inventory === undefined) return []
  const stale = await db.transaction(async (sql) => {
    await holdSession(sql, node)
    return await applyReports(sql, node.nodeId, reports, settings)
  })
  // After the reports: what was removed is not to be taken for a find.
  if (inventory !== undefined) await takeInventory(db, node, inventory)
  return stale
}

async function takeInventory(db: Database, node: NodeSession, inventory: InventorySlice): Promise<void> {
  await db.transaction(async (sql) => {
    await holdSession(sql, node)
    await applyInventory(sql, node, inventory)
  })
  await noteInventory(db, node, inventory.done)
}

function toWork({ contentId, lease, verb, cid, sources, origins, maxBytes }: ClaimedWork, leaseMs: number): Work {
  const key = { contentId, lease, root: cidKey(CID.decode(cid)), leaseMs }
  return verb === 'release' ? { verb, ...key } : { verb, ...key, sources, origins, maxBytes }
}

/** The directory as it was at most a look ago: many nodes ask, and it seldom changes. */
function cachedDirectory(db: Database, wakes: Wakes, maxAgeMs: number): { read(): Promise<Directory> } {
  let reading: Promise<Directory> | undefined
  let readAt = Number.NEGATIVE_INFINITY
  wakes.on(DIRECTORY, () => {
    reading = undefined
  })
  return {
    async read() {
      if (reading === undefined || performance.now() - readAt > maxAgeMs) {
        readAt = performance.now()
        reading = readDirectory(db)
      }
      try {
        return await reading
      } catch (error) {
        reading = undefined
        throw error
      }
    },
  }
}
