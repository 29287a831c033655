import { z } from 'zod'
import { HoldfastError } from '../../core/errors.ts'

/** More complaints than this help nobody. */
const MAX_ISSUES = 3
const MAX_DETAILS = 500

/**
 * The value as the schema reads it.
 * @throws BAD_REQUEST that names each wrong field
 */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new HoldfastError('BAD_REQUEST', sentence(result.error))
}

function sentence(error: z.ZodError): string {
  const complaints = error.issues.slice(0, MAX_ISSUES).map((issue) => {
    const field = z.core.toDotPath(issue.path)
    return field === '' ? issue.message : `${field}: ${issue.message}`
  })
  return complaints.join('; ').slice(0, MAX_DETAILS)
}

/**
 * Query parameters as an object: a text for what is there once, a list for what is repeated.
 * @throws BAD_REQUEST for a NUL, which stands in nothing that we keep and which the database refuses
 */
export function queryObject(search: URLSearchParams): Record<string, string | string[]> {
  const found = new Map<string, string | string[]>()
  for (const key of new Set(search.keys())) {
    const values = search.getAll(key)
    if (values.some(hasNul)) throw new HoldfastError('BAD_REQUEST', `${key.slice(0, 100)}: it holds a NUL`)
    found.set(key, values.length === 1 ? (values[0] ?? '') : values)
  }
  return Object.fromEntries(found)
}

/** No text that is kept has a NUL in it: Postgres cannot even compare one. */
export function hasNul(text: string): boolean {
  return text.includes('\0')
}
