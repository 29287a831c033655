import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client'
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
  /** Adds what other processes count. Their labels tell them from this one and from each other. */
  include(others: OtherMetrics): void
}

/** One metric of another process, as `Registry.getMetricsAsJSON` gives it. */
export type MetricOfOther = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number]

type OtherMetrics = () => Promise<MetricOfOther[]>

/** @throws CONFIG when the port is taken */
export async function startMetrics(config: Config, log: Log): Promise<Metrics> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const sources: OtherMetrics[] = []
  const shown = {
    contentType: registry.contentType,
    metrics: async () => await together(registry, (await Promise.all(sources.map((others) => others()))).flat()),
  }
  const listening = config.HOLDFAST_METRICS_PORT === 0 ? undefined : await show(shown, config, log)
  return {
    registry,
    include: (others) => void sources.push(others),
    async [Symbol.asyncDispose]() {
      await listening?.[Symbol.asyncDispose]()
    },
  }
}

/** The text of all, each metric once with what every process has of it. */
async function together(registry: Registry, others: MetricOfOther[]): Promise<string> {
  if (others.length === 0) return await registry.metrics()
  const all = [...(await registry.getMetricsAsJSON()), ...others]
  // No two values have the same labels, so that a sum is of one; prom-client leaves some metrics out otherwise.
  return await AggregatorRegistry.aggregate([all.map((metric) => ({ ...metric, aggregator: 'sum' }))]).metrics()
}

async function show(
  registry: Pick<Registry, 'contentType' | 'metrics'>,
  config: Config,
  log: Log,
): Promise<AsyncDisposable> {
  const health = healthRoutes({ checks: {}, stopping: new AbortController().signal })
  return await listen(webApplication({ doors: [door([metricsRoute(registry), ...health])], log }), {
    host: config.HOLDFAST_HOST,
    port: config.HOLDFAST_METRICS_PORT,
    settingName: 'HOLDFAST_METRICS_PORT',
  })
}
