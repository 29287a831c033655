import { createJoinToken } from '../../services/catalog/nodes-joining.ts'
import { openWakes, type Wakes } from '../../services/catalog/wake.ts'
import { openLog } from '../../services/runtime/log.ts'
import { startScheduler } from '../../services/scheduler/scheduler.ts'
import { DEFAULT_SCHEDULER_SETTINGS, type SchedulerSettings } from '../../services/scheduler/settings.ts'
import { createSync, type Sync } from '../../services/scheduler/sync.ts'
import { freshDatabase, type FreshDatabase } from './postgres.ts'
import { newWorld, SimulatedNode, type SimulatedWorld } from './simulated-node.ts'

/** Everything that takes minutes in earnest takes parts of a second. */
export const QUICK: SchedulerSettings = {
  ...DEFAULT_SCHEDULER_SETTINGS,
  liveness: { suspectMs: 700, downMs: 1_200 },
  graceMs: 200,
  leaseMs: 1_500,
  retryMs: 20,
  maxRetryMs: 200,
  lookMs: 200,
  passMs: 50,
  sweepMs: 200,
  leadMs: 1_000,
}

/** A control plane over a database of its own, and nodes that are simulated. */
export interface SimulatedCluster extends AsyncDisposable {
  db: FreshDatabase
  wakes: Wakes
  sync: Sync
  world: SimulatedWorld
  settings: SchedulerSettings
  joinToken: string
  /** Another process of the control plane. */
  addScheduler(): void
  addNode(region: string): SimulatedNode
}

export async function simulatedCluster({
  settings = {},
  schedulers = 1,
}: { settings?: Partial<SchedulerSettings>; schedulers?: number } = {}): Promise<SimulatedCluster> {
  const all = { ...QUICK, ...settings }
  const db = await freshDatabase({ connections: 20 })
  const wakes = openWakes(db)
  const stop = new AbortController()
  const log = openLog('error', { name: 'simulated' })
  const sync = createSync(db, { wakes, settings: all })
  const world = newWorld()
  const joinToken = await createJoinToken(db, { name: 'test' })
  const running: Promise<void>[] = []
  const cluster: SimulatedCluster = {
    db,
    wakes,
    sync,
    world,
    settings: all,
    joinToken,
    addScheduler() {
      running.push(startScheduler({ db, wakes, log, settings: all, signal: stop.signal }))
    },
    addNode(region) {
      const node = new SimulatedNode(sync, world, { name: `${region}-${world.nodes.size + 1}`, region, joinToken })
      node.run()
      return node
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...world.nodes.values()].map((node) => node.stop()))
      stop.abort()
      await Promise.all(running)
      await wakes[Symbol.asyncDispose]()
      await db[Symbol.asyncDispose]()
    },
  }
  for (let index = 0; index < schedulers; index++) cluster.addScheduler()
  return cluster
}
