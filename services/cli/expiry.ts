import { parseDurationMs } from '../core/units.ts'
import { textFlag, type Flags } from './command.ts'

export const EXPIRES_OPTION = { type: 'string', help: 'when it ends: a duration such as 30d, or a time' } as const

/** `expiresAt` of a request, when the flag is set. A duration counts from now; anything else is the service's to read. */
export function expiresAt(flags: Flags): { expiresAt?: string } {
  const text = textFlag(flags, 'expires')
  if (text === undefined) return {}
  const ms = parseDurationMs(text)
  return { expiresAt: ms === undefined ? text : new Date(Date.now() + ms).toISOString() }
}
