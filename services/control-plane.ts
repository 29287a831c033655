import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createApi } from './api/api.ts'
import { createAuthenticator } from './catalog/authenticator.ts'
import { openDatabase, type Database } from './catalog/database.ts'
import { touchController } from './catalog/directory.ts'
import type { MasterKeys } from './catalog/master-key.ts'
import { readMasterKeys } from './catalog/master-key-setting.ts'
import { migrate } from './catalog/migrate.ts'
import { createJoinToken } from './catalog/nodes-joining.ts'
import { createPinAcceptor } from './catalog/pins-accept.ts'
import { ensureDefaultPolicy } from './catalog/policies.ts'
import { sealWith } from './catalog/sealed-secret.ts'
import { rewrapTenantKeys } from './catalog/tenant-keys.ts'
import { ensureTenant } from './catalog/tenants.ts'
import { openWakes } from './catalog/wake.ts'
import { HoldfastError } from './core/errors.ts'
import type { NodeIdentity } from './core/node-key.ts'
import { MINUTE_MS, SECOND_MS } from './core/units.ts'
import { chainPool } from './chain-pool.ts'
import { proofParts } from './proof-parts.ts'
import { domainLinks } from './domain-links.ts'
import type { Config } from './runtime/config.ts'
import { webApplication } from './runtime/http/application.ts'
import { healthRoutes } from './runtime/http/health.ts'
import { httpMetrics } from './runtime/http/metrics.ts'
import { door } from './runtime/http/mount.ts'
import { listen } from './runtime/http/server.ts'
import { loadIdentity } from './runtime/identity.ts'
import type { Log } from './runtime/log.ts'
import { loop } from './runtime/loop.ts'
import { startMetrics } from './runtime/metrics.ts'
import { startFollower } from './republisher/follower.ts'
import { dhtTarget } from './republisher/dht-target.ts'
import { NodePuts } from './republisher/node-puts.ts'
import { pubsubTarget } from './republisher/pubsub-target.ts'
import { routerTarget } from './republisher/put-target.ts'
import { startNotifier } from './notifier/notifier.ts'
import { startRepublisher } from './republisher/republisher.ts'
import { sayReady } from './runtime/role-process.ts'
import { DenylistFiles } from './scheduler/denylist-files.ts'
import { startScheduler } from './scheduler/scheduler.ts'
import { DEFAULT_SCHEDULER_SETTINGS } from './scheduler/settings.ts'
import { createSync } from './scheduler/sync.ts'
import { sessionGate, syncRoutes } from './scheduler/sync-routes.ts'
import { startProver } from './prover/prover.ts'
import { startGuards } from './verifier/guard/guards.ts'
import { startVerifier } from './verifier/verifier.ts'

/** The tenant whose token the configuration names. */
const FIRST_TENANT = 'main'
/** Nodes take uploads from controllers that were seen within a minute. */
const TOUCH_MS = 15 * SECOND_MS
const REWRAP_MS = MINUTE_MS
/** Beats that a node misses until it is suspect. */
const BEATS_MISSED = 3

/** Runs the control plane: API, the nodes' sync endpoint, and the scheduler's loops, over Postgres. */
export async function runControlPlane(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  if (config.DATABASE_URL === undefined) {
    throw new HoldfastError('CONFIG', 'The control plane needs DATABASE_URL; `npm start` brings its own Postgres.')
  }
  const folder = resolve(config.HOLDFAST_DATA)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const identity = await loadIdentity(join(folder, 'controller.key'))

  await using db = openDatabase(config.DATABASE_URL)
  await prepare(db, config, identity)
  await using metrics = await startMetrics(config, log)
  await using wakes = openWakes(db)
  const settings = {
    graceMs: config.HOLDFAST_GRACE,
    liveness: { suspectMs: config.HOLDFAST_SUSPECT_AFTER, downMs: config.HOLDFAST_DOWN_AFTER },
  }
  const seal = config.HOLDFAST_SECRETS_KEY === undefined ? undefined : sealWith(config.HOLDFAST_SECRETS_KEY)
  const masters = await masterKeys(config)
  const links = domainLinks(config)
  const pool = chainPool(config)
  const proofs = proofParts(config)
  using api = createApi({
    db,
    wakes,
    acceptor: createPinAcceptor(db, wakes),
    authenticator: createAuthenticator(db, wakes),
    identity,
    seal,
    masters,
    links,
    readsChain: pool !== undefined,
    signer: proofs?.signer,
    anchorKinds: proofs?.kinds ?? [],
    allowsLoopbackWebhooks: config.HOLDFAST_WEBHOOK_LOOPBACK,
    gatewayHosts: config.HOLDFAST_GATEWAY_HOSTS,
    log,
  })
  // A node beats with each call: one that is held back must not be taken for silent.
  const maxWaitMs = Math.min(DEFAULT_SCHEDULER_SETTINGS.maxWaitMs, config.HOLDFAST_SUSPECT_AFTER / BEATS_MISSED)
  const sync = createSync(db, { wakes, seal, settings: { maxWaitMs } })
  const health = healthRoutes({
    checks: { Postgres: async () => void (await db.query('select 1')) },
    stopping: signal,
  })
  const application = webApplication({
    doors: [api.door, door(syncRoutes(sync), sessionGate), door(health)],
    metrics: httpMetrics(metrics.registry),
    log,
    crossOrigin: true,
    stopping: signal,
  })
  await using listening = await listen(application, {
    host: config.HOLDFAST_HOST,
    port: config.HOLDFAST_API_PORT,
    settingName: 'HOLDFAST_API_PORT',
  })
  using puts = new NodePuts(identity)
  const targets = [
    dhtTarget(db, puts),
    ...(config.HOLDFAST_PUBSUB ? [pubsubTarget(db, puts)] : []),
    ...config.HOLDFAST_ROUTERS.map(routerTarget),
  ]
  log.info({ url: listening.url }, 'the control plane is up')
  sayReady({ api: listening.url })
  await Promise.all([
    startScheduler({ db, wakes, log, settings, signal }),
    startRepublisher({ db, wakes, masters, targets, log, signal }),
    startNotifier({
      db,
      wakes,
      seal,
      sending: { allowsLoopback: config.HOLDFAST_WEBHOOK_LOOPBACK },
      log,
      signal,
    }),
    startFollower({ db, wakes, links, log, signal }),
    ...(masters === undefined ? [] : [keepRewrapped(masters, { db, log, signal })]),
    ...(pool === undefined
      ? []
      : [startVerifier({ db, wakes, pool, log, signal }), startGuards({ db, wakes, pool, log, signal })]),
    ...(proofs === undefined ? [] : [startProver({ db, wakes, pool, ...proofs, keep: api.keep, log, signal })]),
    new DenylistFiles({ db, wakes, folder: join(folder, 'denylists'), log }).follow(signal),
    loop('controller', () => touchController(db, identity.publicKey), { everyMs: TOUCH_MS, log, signal }),
  ])
}

async function masterKeys({
  HOLDFAST_MASTER_KEY: text,
  HOLDFAST_VAULT_TOKEN: vaultToken,
}: Config): Promise<MasterKeys | undefined> {
  if (text === undefined) return undefined
  return await readMasterKeys(text, vaultToken === undefined ? {} : { vaultToken })
}

/**
 * Wraps keys of accounts by the present master key that another one wrapped. Beside everything else: a key service that is
 * away must not keep the process from starting, and processes that still have the old setting make keys meanwhile.
 */
async function keepRewrapped(
  masters: MasterKeys,
  { db, log, signal }: { db: Database; log: Log; signal: AbortSignal },
): Promise<void> {
  const rewrap = async (): Promise<void> => {
    const rewrapped = await rewrapTenantKeys(db, masters)
    if (rewrapped === 0) return
    log.info({ rewrapped, master: masters[0].id }, 'keys of accounts are wrapped by the new master key')
  }
  await loop('master-key', rewrap, { everyMs: REWRAP_MS, log, signal })
}

/** Brings the database to the current schema, and makes what the configuration names. */
async function prepare(db: Database, config: Config, identity: NodeIdentity): Promise<void> {
  await migrate(db)
  await ensureDefaultPolicy(db)
  await ensureTenant(db, FIRST_TENANT, config.HOLDFAST_TOKEN)
  if (config.HOLDFAST_JOIN_TOKEN !== undefined) {
    await createJoinToken(db, { name: 'configuration', token: config.HOLDFAST_JOIN_TOKEN })
  }
  await touchController(db, identity.publicKey)
}
