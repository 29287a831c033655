import { z } from 'zod'
import { error, warning, type BuildProblem } from './problem.ts'

/** What ERC-721 and ERC-1155 say of metadata, and what marketplaces take for granted. Other fields may be there. */
const TokenSchema = z.looseObject({
  name: z.string().optional(),
  description: z.string().optional(),
  image: z.string().optional(),
  animation_url: z.string().optional(),
  external_url: z.string().optional(),
  background_color: z.string().optional(),
  decimals: z.int().min(0).max(255).optional(),
  attributes: z
    .array(
      z.looseObject({
        trait_type: z.string().optional(),
        value: z.union([z.string(), z.number(), z.boolean()]),
      }),
    )
    .optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  localization: z
    .looseObject({ uri: z.string().includes('{locale}'), default: z.string(), locales: z.array(z.string()) })
    .optional(),
})

const IMAGE_KEYS = ['image', 'image_url', 'image_data', 'animation_url']

/** What is wrong with the metadata of a token as such. @param value the JSON object of the file */
export function schemaProblems(value: Readonly<Record<string, unknown>>, file: string): BuildProblem[] {
  const { error: failed } = TokenSchema.safeParse(value)
  const problems = (failed?.issues ?? []).map(({ path, message }) => {
    return error('SCHEMA', file, `At /${path.map(String).join('/')}: ${message}.`)
  })
  if (value['name'] === undefined || value['name'] === '') {
    problems.push(warning('NO_NAME', file, 'It has no name; marketplaces show the number alone.'))
  }
  if (IMAGE_KEYS.every((key) => value[key] === undefined || value[key] === '')) {
    problems.push(error('NO_IMAGE', file, 'It has no image; add "image" with the name of a file of this folder.'))
  }
  return problems
}
