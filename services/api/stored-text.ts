import { z } from 'zod'

/**
 * Text that Postgres can keep (no NUL, no half of a surrogate pair), of so many characters as people and the Pinning
 * Service API count them, not UTF-16 units.
 */
export function storedText({ min = 0, max }: { min?: number; max: number }): z.ZodString {
  return z
    .string()
    .min(min)
    .refine((text) => text.length <= max || Array.from(text).length <= max, `it may have at most ${max} characters`)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'it holds characters that cannot be stored')
    .meta({ maxLength: max })
}
