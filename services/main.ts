import { loadConfig, type Config } from './runtime/config.ts'
import { openLog, type Log } from './runtime/log.ts'
import { onOrphaned, sayFailed } from './runtime/role-process.ts'
import { run } from './runtime/run.ts'

/**
 * Runs the roles that HOLDFAST_ROLES names, or with the argument `peer` or `gateway` a child process of a node. A process loads the
 * code of its own roles only: what the peer alone needs takes 40 MB and half of the time to start.
 */
async function runRoles(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  if (child === 'peer') return await (await import('./storage-peer.ts')).runPeerProcess(config, log, signal)
  if (child === 'gateway') return await (await import('./storage-gateway.ts')).runGatewayProcess(config, log, signal)
  const stop = new AbortController()
  onOrphaned(() => stop.abort())
  const until = AbortSignal.any([signal, stop.signal])
  const roles = config.HOLDFAST_ROLES.map(async (role) =>
    role === 'control'
      ? (await import('./control-plane.ts')).runControlPlane(config, log, until)
      : (await import('./storage-node.ts')).runStorageNode(config, log, until),
  )
  try {
    await Promise.all(roles)
  } catch (error) {
    sayFailed((error as Error).message)
    throw error
  } finally {
    stop.abort()
    await Promise.allSettled(roles)
    if (process.connected) process.disconnect()
  }
}

const config = loadConfig()
/** Which child process of a node this is. */
const child = ['peer', 'gateway'].find((kind) => process.argv[2] === kind)
const role = child ?? config.HOLDFAST_ROLES.join('+')
const log = openLog(config.HOLDFAST_LOG_LEVEL, { role, name: config.HOLDFAST_NODE_NAME ?? role })
await run((signal) => runRoles(config, log, signal), log, { isChild: child !== undefined })
