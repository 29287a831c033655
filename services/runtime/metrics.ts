import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Config } from './config.ts'
import { webApplication } from './http/application.ts'
import { healthRoutes } from './http/health.ts'
import { metricsRoute } from './http/metrics.ts'
import { door } from './http/mount.ts'
import { listen } from './http/server.ts'
import type { Log } from './log.ts'

/** The process's metrics, and the private listener that shows them when a port is set. */
export interface Metrics extends AsyncDisposable {
  registry: Registry
}

/** @throws CONFIG when the port is taken */
export async function startMetrics(config: Config, log: Log): Promise<Metrics> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const listening = config.HOLDFAST_METRICS_PORT === 0 ? undefined : await show(registry, config, log)
  return {
    registry,
    async [Symbol.asyncDispose]() {
      await listening?.[Symbol.asyncDispose]()
    },
  }
}

async function show(registry: Registry, config: Config, log: Log): Promise<AsyncDisposable> {
  const health = healthRoutes({ checks: {}, stopping: new AbortController().signal })
  return await listen(webApplication({ doors: [door([metricsRoute(registry), ...health])], log }), {
    host: config.HOLDFAST_HOST,
    port: config.HOLDFAST_METRICS_PORT,
    settingName: 'HOLDFAST_METRICS_PORT',
  })
}
