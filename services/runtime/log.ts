import { pino, type Logger } from 'pino'

export type Log = Pick<Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'child'>

/** Keys whose values are secrets wherever they stand in what is logged. */
const SECRET_KEYS = ['token', 'session', 'joinToken', 'authorization', 'password', 'keyPem', 'seed', 'url.password']

/**
 * JSON lines on standard output, each with the process's role and name.
 * @param level the least severe level that is written
 */
export function openLog(level: string, bindings: Record<string, string>): Log {
  return pino({
    level,
    base: bindings,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[secret]' },
  })
}
