import { z } from 'zod'

/** Text that Postgres can keep: no NUL, no half of a surrogate pair. */
export function storedText(schema: z.ZodString): z.ZodString {
  return schema.refine(
    (text) => text.isWellFormed() && !text.includes('\0'),
    'it holds characters that cannot be stored',
  )
}

/** Lengths are counted in characters as people see them in the specification, not in UTF-16 units. */
export function atMost(characters: number): [(text: string) => boolean, string] {
  return [
    (text) => text.length <= characters || Array.from(text).length <= characters,
    `it may have at most ${characters} characters`,
  ]
}
