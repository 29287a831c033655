import type { ParseArgsOptionsConfig } from 'node:util'
import { parseDurationMs } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import type { Output } from './output.ts'

export type Flags = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** What a command gets to work with; it asks for the service only when it needs it. */
export interface Invocation {
  operands: readonly string[]
  flags: Flags
  output: Output
  signal: AbortSignal
  /** @throws CommandError with `usage` when no service is known */
  api: () => Promise<ApiClient>
  /** Gateways that are known without asking the service, the preferred first; possibly none. */
  gateways: () => Promise<string[]>
}

/** One command. Parsing and help come from the same row. */
export interface Command {
  /** Words as typed, such as `pin add`. */
  name: string
  operands: string
  summary: string
  options?: Options
  run(invocation: Invocation): Promise<void>
}

/** Options of a command as `parseArgs` takes them, with what help says of each. */
export type Options = Readonly<Record<string, ParseArgsOptionsConfig[string] & { help: string; value?: string }>>

/** The one operand of a command. */
export function only(operands: readonly string[], what: string): string {
  const [first, ...others] = operands
  if (first === undefined || others.length > 0) throw new CommandError(EXIT.usage, `Name ${what}, and only that.`)
  return first
}

export function some(operands: readonly string[], what: string): readonly string[] {
  if (operands.length === 0) throw new CommandError(EXIT.usage, `Name at least one ${what}.`)
  return operands
}

export function none(operands: readonly string[]): void {
  if (operands.length > 0) throw new CommandError(EXIT.usage, `${operands[0]} is one operand too many.`)
}

export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

export function textFlags(flags: Flags, name: string): string[] {
  const value = flags[name]
  return Array.isArray(value) ? value.map(String) : []
}

export function durationFlag(flags: Flags, name: string): number {
  const ms = parseDurationMs(textFlag(flags, name) ?? '')
  if (ms === undefined) throw new CommandError(EXIT.usage, `--${name} takes a duration such as 90s, 30m or 24h.`)
  return ms
}

export function countFlag(flags: Flags, name: string): number {
  const text = textFlag(flags, name) ?? ''
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CommandError(EXIT.usage, `--${name} takes a whole number from 1 on.`)
  return Number(text)
}
