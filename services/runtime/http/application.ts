import type { RequestListener } from 'node:http'
import Koa from 'koa'
import type { Log } from '../log.ts'
import { cors } from './cors.ts'
import { frame, type FrameState } from './frame.ts'
import type { HttpMetrics } from './metrics.ts'
import { mount, type Door } from './mount.ts'

export interface WebApplicationOptions {
  doors: readonly Door[]
  log: Log
  metrics?: HttpMetrics
  /** Whether pages of other origins may call. */
  crossOrigin?: boolean
  /** Whether a proxy of ours stands in front, whose X-Forwarded-For tells where a request comes from. */
  behindProxy?: boolean
  /** Aborted when the process begins to stop, so that long polls end. */
  stopping?: AbortSignal
  /** Whether JSON answers are held against their schemas: for tests. */
  checkAnswers?: boolean
}

/** An HTTP application of declared routes; every failure has the one shape, also those of the frame itself. */
export function webApplication(options: WebApplicationOptions): RequestListener {
  const { doors, log, metrics, crossOrigin = false, behindProxy = false, checkAnswers = false } = options
  const { stopping = new AbortController().signal } = options
  const app = new Koa<FrameState>({ proxy: behindProxy, maxIpsCount: 1 })
  app.on('error', (error: unknown) => log.debug({ err: error }, 'a response was cut short'))
  app.use(frame({ log, metrics }))
  if (crossOrigin) app.use(cors())
  app.use(mount(doors, { checkAnswers, stopping }))
  const listener = app.callback()
  return (request, response) => void listener(request, response)
}
