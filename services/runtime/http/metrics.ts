import { Histogram, type Registry } from 'prom-client'
import { declareRoute, textAnswer, type Route } from './route.ts'

export interface HttpMetrics {
  observe(outcome: { method: string; route: string; status: number }, seconds: number): void
}

/** Counts requests by route template, method and status, never by path. */
export function httpMetrics(registry: Registry): HttpMetrics {
  const duration = new Histogram({
    name: 'holdfast_http_request_duration_seconds',
    help: 'Time from the first byte of a request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [registry],
  })
  return { observe: (outcome, seconds) => duration.observe(outcome, seconds) }
}

/** `GET /metrics` in the Prometheus text format. For a private listener: it tells how the cluster is used. */
export function metricsRoute(registry: Pick<Registry, 'contentType' | 'metrics'>): Route<never> {
  return declareRoute(
    {
      method: 'GET',
      path: '/metrics',
      summary: 'Metrics for Prometheus',
      access: 'public',
      answers: { 200: textAnswer(registry.contentType) },
    },
    async () => ({ status: 200, body: await registry.metrics() }),
  )
}
