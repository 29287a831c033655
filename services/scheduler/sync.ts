import { CID } from 'multiformats/cid'
import type { Database } from '../catalog/database.ts'
import { readDirectory } from '../catalog/directory.ts'
import { readGatewayRules, rulesPart, type RulesReading } from '../catalog/gateway-rules.ts'
import { noteReader, readFeedEnd, readNamePage } from '../catalog/names-feed.ts'
import { applyInventory, noteInventory } from '../catalog/inventory.ts'
import { checkSession, holdSession, recordBeat, type NodeSession } from '../catalog/nodes-beat.ts'
import { createChallenge } from '../catalog/nodes-joining.ts'
import { doubtReplicas } from '../catalog/replicas-doubted.ts'
import { applyReports } from '../catalog/replicas-reports.ts'
import { claimWork, returnWork, type ClaimedWork } from '../catalog/replicas-work.ts'
import type { Seal } from '../catalog/sealed-secret.ts'
import { hashToken } from '../catalog/token-text.ts'
import { NAMES, RECONCILE, RULES, type Wakes } from '../catalog/wake.ts'
import { cidKey } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import type { FeedPlace, NamePage } from '../core/name-feed.ts'
import type {
  Directory,
  InventorySlice,
  Registered,
  Registration,
  SyncRequest,
  SyncResponse,
  Work,
} from '../core/sync.ts'
import { Bell } from '../runtime/bell.ts'
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
  /**
   * A part of one of the documents that the gateway's rules name by their hash.
   * @throws STALE_SESSION; NOT_FOUND when the rules have changed since
   */
  rules(session: string, hash: string, part: number): Promise<string>
  /**
   * Names that came after a place in their feed.
   * @param kept how far the node has them on its disk
   * @throws STALE_SESSION
   */
  names(session: string, after: FeedPlace, kept: FeedPlace): Promise<NamePage>
}

type SyncSettings = Pick<
  SchedulerSettings,
  'leaseMs' | 'retryMs' | 'maxRetryMs' | 'inventoryEveryMs' | 'maxWaitMs' | 'lookMs' | 'defaultMaxBytes'
>

export function createSync(
  db: Database,
  { wakes, seal, settings = {} }: { wakes: Wakes; seal?: Seal | undefined; settings?: Partial<SyncSettings> },
): Sync {
  const all: SyncSettings = { ...DEFAULT_SCHEDULER_SETTINGS, ...settings }
  const directory = recent(() => readDirectory(db), { wakes, channel: DIRECTORY, maxAgeMs: all.lookMs })
  const rules = recent(() => readRules(db, seal), { wakes, channel: RULES, maxAgeMs: all.lookMs })
  const names = recent(() => readFeedEnd(db), { wakes, channel: NAMES, maxAgeMs: all.lookMs })

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
      if (isReconciled(request)) wakes.announce(RECONCILE)
      const inventoryWanted = node.inventoryWanted && request.inventory === undefined
      const isNews = stale.length > 0
      const { work, directory: found, rules: told, names: end } = await nextWork(request, { node, isNews, signal })
      return {
        work: work.map((claimed) => toWork(claimed, all.leaseMs)),
        ...(found.version !== request.directory && { directory: found }),
        ...(isNewer(told, request) && { rules: told.rules }),
        ...(isFurther(end, request) && { names: end }),
        clockMs: told.clockMs + performance.now() - told.readAt,
        inventoryWanted,
        stale,
      }
    },
    async rules(session, hash, part) {
      await checkSession(db, hashToken(session))
      const text = await rulesPart(db, await rules.read(), hash, part)
      if (text === undefined) throw new HoldfastError('NOT_FOUND', 'The rules have changed.')
      return text
    },
    async names(session, after, kept) {
      const nodeId = await checkSession(db, hashToken(session))
      await noteReader(db, nodeId, kept)
      return await readNamePage(db, after)
    },
  }

  /** Looks again at every hint for this node, and from time to time by itself, until there is something to say. */
  async function nextWork(
    request: SyncRequest,
    { node, isNews, signal }: { node: NodeSession; isNews: boolean; signal: AbortSignal },
  ): Promise<{ work: ClaimedWork[]; directory: Directory; rules: TimedRules; names: string }> {
    const bell = new Bell()
    const stops = [
      wakes.on(NODE, (key) => {
        if (key === undefined || key === String(node.nodeId)) bell.ring()
      }),
      wakes.on(DIRECTORY, bell.ring),
      wakes.on(RULES, bell.ring),
      wakes.on(NAMES, bell.ring),
    ]
    const deadline = performance.now() + Math.min(request.waitMs, all.maxWaitMs)
    try {
      for (;;) {
        signal.throwIfAborted()
        const work = await claimWork(db, node, { ...all, slots: request.slots, seeks: request.seeks })
        const current = await directory.read()
        const inForce = await rules.read()
        const end = await names.read()
        if (signal.aborted) await returnWork(db, node.nodeId, work)
        signal.throwIfAborted()
        const leftMs = deadline - performance.now()
        const isTold = current.version === request.directory && !isNewer(inForce, request) && !isFurther(end, request)
        if (work.length > 0 || isNews || !isTold || leftMs <= 0) {
          if (work.some(({ verb }) => verb === 'hold')) wakes.announce(RECONCILE)
          return { work, directory: current, rules: inForce, names: end }
        }
        await bell.wait(Math.min(leftMs, all.lookMs), signal)
      }
    } finally {
      for (const stop of stops) stop()
    }
  }
}

/** Whether what the node says can change what becomes of a root. */
function isReconciled({ reports, inventory, damaged }: SyncRequest): boolean {
  return inventory !== undefined || damaged !== undefined || reports.some(({ outcome }) => outcome !== 'progress')
}

/** Applies what the node says, for as long as its session is the present one. */
async function takeReports(
  db: Database,
  node: NodeSession,
  { reports, inventory, damaged }: SyncRequest,
  settings: SyncSettings,
): Promise<string[]> {
  if (reports.length === 0 && inventory === undefined && damaged === undefined) return []
  const stale = await db.transaction(async (sql) => {
    await holdSession(sql, node)
    return await applyReports(sql, node.nodeId, reports, settings)
  })
  if (damaged !== undefined) {
    await db.transaction(async (sql) => {
      await holdSession(sql, node)
      await doubtReplicas(sql, node.nodeId, damaged)
    })
  }
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

/** Rules, and when on this process's own clock they were read. */
type TimedRules = RulesReading & { readAt: number }

async function readRules(db: Database, seal: Seal | undefined): Promise<TimedRules> {
  const reading = await readGatewayRules(db, seal)
  return { ...reading, readAt: performance.now() }
}

/** A node that names no version wants no rules. */
function isNewer({ rules }: TimedRules, request: SyncRequest): boolean {
  return request.rules !== undefined && request.rules !== rules.version
}

/** A node that says nothing of names wants none. */
function isFurther(end: string, request: SyncRequest): boolean {
  return request.names !== undefined && request.names !== end
}

/** Something as it was at most a look ago: many nodes ask, and it seldom changes. */
function recent<T>(
  read: () => Promise<T>,
  { wakes, channel, maxAgeMs }: { wakes: Wakes; channel: string; maxAgeMs: number },
): { read(): Promise<T> } {
  let reading: Promise<T> | undefined
  let readAt = Number.NEGATIVE_INFINITY
  wakes.on(channel, () => {
    reading = undefined
  })
  return {
    async read() {
      if (reading === undefined || performance.now() - readAt > maxAgeMs) {
        readAt = performance.now()
        reading = read()
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
