import { runControlPlane } from './control-plane.ts'
import { loadConfig, type Config } from './runtime/config.ts'
import { openLog, type Log } from './runtime/log.ts'
import { onOrphaned, sayFailed } from './runtime/role-process.ts'
import { run } from './runtime/run.ts'
import { runPeerProcess, runStorageNode } from './storage-node.ts'

/** Runs the roles that HOLDFAST_ROLES names, or with the argument `peer` the child process of a node. */
async function runRoles(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const isPeer = process.argv[2] === 'peer'
  if (isPeer) return await runPeerProcess(config, log, signal)
  const stop = new AbortController()
  onOrphaned(() => stop.abort())
  const until = AbortSignal.any([signal, stop.signal])
  const roles = config.HOLDFAST_ROLES.map((role) =>
    role === 'control' ? runControlPlane(config, log, until) : runStorageNode(config, log, until),
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
const role = process.argv[2] === 'peer' ? 'peer' : config.HOLDFAST_ROLES.join('+')
const log = openLog(config.HOLDFAST_LOG_LEVEL, { role, name: config.HOLDFAST_NODE_NAME ?? role })
await run((signal) => runRoles(config, log, signal), log)
