import { connect } from 'node:net'
import { pino } from 'pino'
import type { Log } from '../../services/runtime/log.ts'
import { webApplication, type WebApplicationOptions } from '../../services/runtime/http/application.ts'
import { door } from '../../services/runtime/http/mount.ts'
import { declareRoute, type DeclareRoute, type Route } from '../../services/runtime/http/route.ts'
import { listen, type Listening, type ServerLimits } from '../../services/runtime/http/server.ts'

export interface TestCaller {
  name: string
}

/** Declares routes for tests; the only scope is `things:read`. */
export const route = declareRoute as unknown as DeclareRoute<TestCaller, 'things:read'>

export interface LoggedLine {
  level: number
  msg: string
  requestId?: string
}

/** A log that tests can read. */
export function memoryLog(): { log: Log; lines: LoggedLine[]; text: () => string } {
  const lines: LoggedLine[] = []
  const texts: string[] = []
  const log = pino(
    { level: 'trace' },
    {
      write(text: string) {
        texts.push(text)
        lines.push(JSON.parse(text) as LoggedLine)
      },
    },
  )
  return { log, lines, text: () => texts.join('') }
}

/** A real server of public routes, or of the given doors, on a free port; answers are held against their schemas. */
export async function serve(
  routes: readonly Route<never>[],
  options: Partial<WebApplicationOptions> & { limits?: Partial<ServerLimits> } = {},
): Promise<Listening> {
  const { limits = {}, ...rest } = options
  const application = webApplication({ doors: [door(routes)], log: memoryLog().log, checkAnswers: true, ...rest })
  return await listen(application, { host: '127.0.0.1', port: 0, settingName: 'HOLDFAST_API_PORT', limits })
}

/** Sends bytes as they are and answers all that comes back until the server ends the connection. */
export async function sendRaw(port: number, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let received = ''
  const socket = connect(port, '127.0.0.1', () => socket.write(text))
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => (received += chunk))
  socket.once('close', () => resolve(received))
  socket.once('error', reject)
  return await promise
}

/** The body of a failure, after checking that it has the one shape. */
export async function failure(response: Response): Promise<{ reason: string; details: string }> {
  const body = (await response.json()) as { error: { reason: string; details: string } }
  if (Object.keys(body).join() !== 'error') throw new Error(`Not a failure: ${JSON.stringify(body)}`)
  const { reason, details, ...more } = body.error
  if (!/^[A-Z_]+$/.test(reason) || details === '' || Object.keys(more).length > 0) {
    throw new Error(`Not a failure: ${JSON.stringify(body)}`)
  }
  return { reason, details }
}
