import type { MetadataProblem } from '../token-metadata/metadata.ts'
import { readMetadataText } from '../token-metadata/metadata.ts'
import { roleOf } from '../token-metadata/roles.ts'
import type { AssetNames } from './asset-names.ts'
import { readLink, type LinkContext } from './link.ts'
import { error, type BuildProblem, type ProblemCode } from './problem.ts'
import { schemaProblems } from './schema.ts'

export interface MetadataContext {
  /** Below the folder. */
  file: string
  /** Undefined for metadata of the collection as a whole. */
  token: bigint | undefined
  /** Whether `{id}` stands for the token's number. */
  isErc1155: boolean
  assets: AssetNames
  /** Of the folder that the other files become, in base 32. */
  assetsCid: string
}

export interface CheckedMetadata {
  problems: BuildProblem[]
  /** With links to `ipfs://`, and otherwise letter for letter what it was; undefined when it cannot be read. */
  text: string | undefined
  /** The files that it names, as paths below the folder. */
  used: string[]
  /** The one that `image` names. */
  image: string | undefined
}

/** Keys that hold the content itself, or its hash, and are no links. */
const NO_LINKS: ReadonlySet<string> = new Set(['image_data', 'imagehash'])

/** Checks one file of metadata, and lets its links lead to the files as they will be on IPFS. */
export function checkMetadata(bytes: Uint8Array, context: MetadataContext): CheckedMetadata {
  const read = readMetadataText(bytes)
  if ('problem' in read) {
    return { problems: [unreadable(read.problem, context.file)], text: undefined, used: [], image: undefined }
  }
  const problems =
    context.token === undefined
      ? []
      : schemaProblems(JSON.parse(read.text) as Readonly<Record<string, unknown>>, context.file)
  const used: string[] = []
  const pieces: string[] = []
  let image: string | undefined
  let at = 0
  for (const { path, value, start, end } of read.strings) {
    const key = path.at(-1)?.toLowerCase() ?? ''
    const role = roleOf(path)
    if (role === 'external' || role === 'other' || NO_LINKS.has(key)) continue
    const link = readLink(value, linkContext(context, path))
    if (link.problem !== undefined) problems.push(link.problem)
    if (link.uri === undefined) continue
    used.push(link.path)
    if (path.length === 1 && key === 'image') image = link.path
    pieces.push(read.text.slice(at, start), JSON.stringify(link.uri))
    at = end
  }
  pieces.push(read.text.slice(at))
  return { problems, text: pieces.join(''), used, image }
}

function linkContext({ file, token, isErc1155, ...rest }: MetadataContext, path: readonly string[]): LinkContext {
  return { ...rest, file, pointer: `/${path.join('/')}`, token: isErc1155 ? token : undefined }
}

const UNREADABLE: Readonly<Record<MetadataProblem, readonly [ProblemCode, string]>> = {
  NOT_UTF8: ['NOT_UTF8', 'It is not UTF-8; save it as UTF-8.'],
  NOT_JSON: ['NOT_JSON', 'It is not JSON.'],
  NO_OBJECT: ['NO_OBJECT', 'It is JSON, but no object: it begins with { and ends with }.'],
  DUPLICATE_KEY: ['DUPLICATE_KEY', 'An object in it has a key twice, and readers would not agree on what it says.'],
  TOO_LARGE: ['TOO_LARGE', 'It is larger than 1 MiB, which readers do not take; put content into files of its own.'],
  TOO_DEEP: ['TOO_COMPLEX', 'It is nested deeper than 32 levels.'],
  TOO_MANY_NODES: ['TOO_COMPLEX', 'It has more than 4,096 values.'],
  TOO_MANY_LINKS: ['TOO_COMPLEX', 'It has more than 256 links.'],
}

function unreadable(problem: MetadataProblem, file: string): BuildProblem {
  const [code, message] = UNREADABLE[problem]
  return error(code, file, message)
}
