import { z } from 'zod'

const SHAPE = z.iso.datetime({ offset: true })
/** What both RFC 3339 and the database can write: the years 1 to 9999, in UTC. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00Z')
const END_MS = Date.parse('+010000-01-01T00:00:00Z')

/**
 * A point in time of RFC 3339, as text in UTC with six decimals, which is how far the database looks. A `+` that came
 * unescaped through a query string, and is a space by now, is read as what it was.
 */
export const Timestamp = z
  .string()
  .max(64)
  .transform((text, context) => {
    const given = text.replace(' ', '+')
    const wellFormed = SHAPE.safeParse(given).success
    const at = wellFormed ? Date.parse(given) : Number.NaN
    if (!(at >= FIRST_MS && at < END_MS)) {
      context.addIssue({ code: 'custom', message: 'it must be a time such as 2026-01-02T03:04:05.678Z' })
      return z.NEVER
    }
    const fraction = /\.(\d+)/.exec(given)?.[1] ?? ''
    const seconds = new Date(at).toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS'.length)
    return `${seconds}.${fraction.slice(0, 6).padEnd(6, '0')}Z`
  })
