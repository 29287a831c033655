/** Units that the rest of the code spells out by name. Times are milliseconds, sizes are bytes. */

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

export const KIB = 1_024
export const MIB = 1_024 * KIB
export const GIB = 1_024 * MIB

const DURATION_UNITS: Record<string, number> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
}

const SIZE_UNITS: Record<string, number> = {
  '': 1,
  B: 1,
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: 1_024 * GIB,
}

/** Milliseconds of a duration such as `500ms`, `10s`, `5m`, `24h`, `30d`; undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  if (match === null) return undefined
  return Math.round(Number(match[1]) * (DURATION_UNITS[match[2] ?? ''] ?? Number.NaN))
}

/** Bytes of a size such as `512`, `64KiB`, `1.5GiB`; undefined when it is none. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB)?$/.exec(text.trim())
  if (match === null) return undefined
  return Math.floor(Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? Number.NaN))
}

/** A size for people: `1.4 GiB`, `312 B`. */
export function formatSize(sizeBytes: number): string {
  let value = sizeBytes
  let unit = 'B'
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < KIB) break
    value /= KIB
    unit = next
  }
  return unit === 'B' ? `${value} B` : `${value.toFixed(1)} ${unit}`
}
