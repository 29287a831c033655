import type { GatewayHost, HostClass } from '../core/gateway-host.ts'
import { parseDurationMs, parseSizeBytes } from '../core/units.ts'

/** Each reads one kind of value, or throws an error whose message completes the sentence "… must be …". */

export function text(value: string): string {
  if (value === '') throw new Error('some text')
  return value
}

export function anyText(value: string): string {
  return value
}

export function port(value: string): number {
  return count(0, 65_535)(value)
}

export function count(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min || number > max) throw new Error(`a whole number from ${min} to ${max}`)
    return number
  }
}

export function flag(value: string): boolean {
  if (['true', 'on', '1', 'yes'].includes(value)) return true
  if (['false', 'off', '0', 'no'].includes(value)) return false
  throw new Error('true or false')
}

export function duration(value: string): number {
  const parsed = parseDurationMs(value)
  if (parsed === undefined) throw new Error('a duration such as 500ms, 10s, 5m, 24h or 30d')
  return parsed
}

export function size(value: string): number {
  const parsed = parseSizeBytes(value)
  if (parsed === undefined) throw new Error('a size such as 512MiB or 2TiB')
  return parsed
}

export function url(value: string): string {
  if (!URL.canParse(value) || !/^https?:/.test(value)) throw new Error('an http or https URL')
  return value.replace(/\/+$/, '')
}

export function address(value: string): `0x${string}` {
  if (!/^0x[0-9a-f]{40}$/i.test(value)) throw new Error('an address: 0x and 40 digits')
  return value.toLowerCase() as `0x${string}`
}

export function urls(value: string): string[] {
  try {
    return [...new Set(list(value).map(url))]
  } catch {
    throw new Error('http or https URLs with commas between them')
  }
}

export function list(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

export function labels(value: string): Record<string, string> {
  const pairs = list(value).map((pair) => /^([a-z][a-z0-9-]{0,31})=(.{1,64})$/.exec(pair))
  if (pairs.some((match) => match === null)) throw new Error('pairs such as region=frankfurt,provider=hetzner')
  const read: Record<string, string> = Object.fromEntries(pairs.map((match) => [match?.[1] ?? '', match?.[2] ?? '']))
  if (read['region'] === undefined) throw new Error('pairs with at least region=…')
  return read
}

/** `host:class` or `host:class:nofetch`; the host may have a port of its own. */
export function hosts(value: string): GatewayHost[] {
  return list(value).map((entry) => {
    const match = /^([A-Za-z0-9.-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?):(subdomain|path|trustless)(:nofetch)?$/.exec(
      entry,
    )
    if (match === null) throw new Error('pairs such as gateway.example:subdomain,blocks.example:trustless:nofetch')
    return {
      host: (match[1] ?? '').toLowerCase(),
      class: match[2] as HostClass,
      fetches: match[3] === undefined,
    }
  })
}

export function oneOf<const T extends string>(...choices: T[]): (value: string) => T {
  return (value) => {
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw new Error(`one of ${choices.join(', ')}`)
    return found
  }
}
