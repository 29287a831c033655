import { types, type ClientConfig } from 'pg'
import { SECOND_MS } from '../core/units.ts'

/** Settings of a session that statements rely on, whatever the server's own defaults are. */
function sessionOptions(statementTimeoutMs: number): string {
  return [
    '-c TimeZone=UTC',
    '-c DateStyle=ISO',
    `-c statement_timeout=${statementTimeoutMs}`,
    // A process that hangs inside a transaction must not hold its rows for ever.
    `-c idle_in_transaction_session_timeout=${30 * SECOND_MS}`,
    // Plans that compile cost more than these short statements run.
    '-c jit=off',
  ].join(' ')
}

/** How `pg` connects: the URL's own settings, ours added to its `options`. */
export function connectionConfig(url: string, session: { name: string; statementTimeoutMs: number }): ClientConfig {
  const [address = '', query = ''] = url.split('?', 2)
  const parameters = new URLSearchParams(query)
  const own = parameters.get('options')
  const ours = sessionOptions(session.statementTimeoutMs)
  parameters.set('options', own === null ? ours : `${own} ${ours}`)
  // URLSearchParams writes a blank as "+", which a connection string takes literally.
  const connectionString = `${address}?${parameters.toString().replaceAll('+', '%20')}`
  return {
    connectionString,
    application_name: session.name,
    keepAlive: true,
    // Statements need not wait for the answers to those before.
    pipeline: true,
    connectionTimeoutMillis: 5 * SECOND_MS,
    types: { getTypeParser },
  }
}

const { TIMESTAMPTZ } = types.builtins

type Oid = Parameters<typeof types.getTypeParser>[0]

function getTypeParser(oid: Oid, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === TIMESTAMPTZ && format !== 'binary') return timestampText
  return types.getTypeParser(oid, format)
}

/** `2026-01-02 03:04:05.6789+00` as RFC 3339 with six decimals. Infinities stay as they are. */
function timestampText(value: string): string {
  const match = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?\+00$/.exec(value)
  if (match === null) return value
  const [, date, time, fraction = ''] = match
  return `${date}T${time}.${fraction.padEnd(6, '0')}Z`
}
