import type { ParseArgsOptionsConfig } from 'node:util'
import type { ApiClient } from './client.ts'
import type { Connection } from './connection.ts'
import type { Output } from './output.ts'

/** What a command gets to work with; it asks for the connection only when it needs one. */
export interface Invocation {
  operands: string[]
  flags: Record<string, string | boolean | undefined>
  output: Output
  signal: AbortSignal
  connect: () => Promise<{ client: ApiClient; connection: Connection }>
}

/** One command: help, parsing and completion come from the same row. */
export interface Command {
  /** Words as typed, such as `pin add`. */
  name: string
  operands: string
  summary: string
  options?: ParseArgsOptionsConfig
  run(invocation: Invocation): Promise<void>
}

export function textFlag(flags: Invocation['flags'], name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}
