import { createHash, type Hash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AssetNames } from '../core/collection-build/asset-names.ts'
import { checkMetadata, type CheckedMetadata } from '../core/collection-build/check-metadata.ts'
import { numberingProblems, shiftProblems, type NumberedImage } from '../core/collection-build/numbering.ts'
import { error, warning, type BuildProblem } from '../core/collection-build/problem.ts'
import { nameOfToken, type TokenStandard } from '../core/collection-build/token-name.ts'
import { MAX_METADATA_BYTES } from '../core/token-metadata/metadata.ts'
import type { CollectionFolder } from './collection-folder.ts'
import { dagOf, type FolderDag } from './folder-dag.ts'
import { listFolder, type LocalFile, type LocalFolder } from './list-folder.ts'
import type { ProgressLine } from './progress.ts'
import { readLocalFile } from './read-local-file.ts'

export interface PreparedFolder {
  folder: LocalFolder
  dag: FolderDag
}

export interface PreparedCollection {
  problems: BuildProblem[]
  /** Undefined when there are no such files. */
  assets: PreparedFolder | undefined
  /** Undefined when there are errors. */
  metadata: PreparedFolder | undefined
  provenance: Provenance | undefined
}

/**
 * The common proof that images were not swapped after the sale began: the SHA-256 of each token's image in hex, one behind
 * the other in the order of the numbers, and of all that the SHA-256.
 */
interface Provenance {
  sha256: string
  /** One for each token: number, SHA-256 of its image, name of that; between them a tab. */
  lines: string[]
}

export interface PrepareOptions {
  standard: TokenStandard
  /** Behind the names of metadata: empty or `.json`. */
  suffix: string
  /** A folder that is written: metadata as it will be, below `metadata`. */
  target: string
  line: ProgressLine
  signal: AbortSignal
}

/** What is known of the images and other files. */
interface Assets {
  names: AssetNames
  /** Empty when there are none, so that no link needs it. */
  cid: string
  /** By path below the folder. */
  sha256: ReadonlyMap<string, string>
  prepared: PreparedFolder | undefined
}

/**
 * Checks all files and works out both folders as they will be, one file in memory at a time. Everything that is wrong is
 * told, not only the first thing.
 */
export async function prepareCollection(
  collection: CollectionFolder,
  options: PrepareOptions,
): Promise<PreparedCollection> {
  const ids = collection.tokens.map(({ id }) => id)
  const assets = await prepareAssets(collection.assets, options)
  const written = await writeMetadata(collection, assets, options)
  const problems = [
    ...collection.problems,
    ...numberingProblems(ids, options.standard),
    ...fileProblems(collection.assets, assets),
    ...written.problems,
    ...shiftProblems(numberedImages(written.images)),
    ...collection.assets.flatMap(({ name }) =>
      written.used.has(name) ? [] : warning('UNUSED_FILE', name, 'No metadata names it; it is uploaded all the same.'),
    ),
  ]
  const isSound = problems.every(({ level }) => level !== 'error')
  const folder = isSound ? await listFolder(join(options.target, 'metadata'), options.signal) : undefined
  return {
    problems,
    assets: assets.prepared,
    metadata: folder && { folder, dag: await dagOf(folder, options.signal) },
    provenance: provenanceOf(ids, written.images, assets),
  }
}

async function prepareAssets(files: readonly LocalFile[], { line, signal }: PrepareOptions): Promise<Assets> {
  const names = new AssetNames(files.map(({ name }) => name))
  const sha256 = new Map<string, string>()
  if (files.length === 0) return { names, cid: '', sha256, prepared: undefined }
  const folder: LocalFolder = {
    files: files.map((file) => ({ ...file, name: names.nameOf(file.name) })),
    emptyFolders: [],
    left: [],
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }
  const dag = await dagOf(folder, signal, (file) => {
    line.text(`reading ${sha256.size + 1} of ${files.length}: ${file.name}`)
    return hashed(file, (digest) => sha256.set(names.prefix + file.name, digest))
  })
  return { names, cid: dag.root.toString(), sha256, prepared: { folder, dag } }
}

async function* hashed(file: LocalFile, tell: (digest: string) => void): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of readLocalFile(file)) {
    hash.update(chunk)
    yield chunk
  }
  tell(hash.digest('hex'))
}

function fileProblems(files: readonly LocalFile[], { sha256 }: Assets): BuildProblem[] {
  const first = new Map<string, string>()
  return files.flatMap(({ name, sizeBytes }) => {
    if (sizeBytes === 0) return error('EMPTY_FILE', name, 'It is empty.')
    const digest = sha256.get(name) ?? ''
    const other = first.get(digest)
    if (other !== undefined) return warning('DUPLICATE_FILE', name, `It has the same bytes as ${other}.`)
    first.set(digest, name)
    return []
  })
}

interface Written {
  problems: BuildProblem[]
  used: Set<string>
  images: Map<bigint, string>
}

/** Writes the metadata as it will be, and tells what is wrong with it and which files it names. */
async function writeMetadata(
  { tokens, about }: CollectionFolder,
  assets: Assets,
  { standard, suffix, target, line, signal }: PrepareOptions,
): Promise<Written> {
  const written: Written = { problems: [], used: new Set(), images: new Map() }
  const folder = join(target, 'metadata')
  await mkdir(folder)
  const write = async (file: LocalFile, token: bigint | undefined, name: string): Promise<void> => {
    signal.throwIfAborted()
    const { problems, text, used, image } = await checked(file, token, assets, standard)
    for (const problem of problems) written.problems.push(problem)
    for (const path of used) written.used.add(path)
    if (token !== undefined && image !== undefined) written.images.set(token, image)
    if (text !== undefined) await writeFile(join(folder, name), text, { flag: 'wx' })
  }
  for (const [index, { id, file }] of tokens.entries()) {
    line.text(`checking ${index + 1} of ${tokens.length}: ${file.name}`)
    await write(file, id, nameOfToken(id, standard, suffix))
  }
  const told = new Set<string>()
  for (const file of about) {
    const name = file.name.slice(file.name.lastIndexOf('/') + 1)
    if (told.has(name)) {
      written.problems.push(error('DUPLICATE_TOKEN', file.name, `There is another ${name}; take one of them away.`))
    } else await write(file, undefined, name)
    told.add(name)
  }
  return written
}

async function checked(
  file: LocalFile,
  token: bigint | undefined,
  { names, cid }: Assets,
  standard: TokenStandard,
): Promise<CheckedMetadata> {
  // What is too large is not read to say so.
  const bytes =
    file.sizeBytes > MAX_METADATA_BYTES
      ? new Uint8Array(MAX_METADATA_BYTES + 1)
      : Buffer.concat(await Array.fromAsync(readLocalFile(file)))
  const isErc1155 = standard === 'erc1155'
  return checkMetadata(bytes, { file: file.name, token, isErc1155, assets: names, assetsCid: cid })
}

/** Tokens whose images are called by a number. */
function numberedImages(images: ReadonlyMap<bigint, string>): NumberedImage[] {
  return [...images].flatMap(([id, path]) => {
    const number = /(?:^|\/)(\d+)\.[^./]+$/.exec(path)?.[1]
    return number === undefined ? [] : { id, image: BigInt(number) }
  })
}

function provenanceOf(
  ids: readonly bigint[],
  images: ReadonlyMap<bigint, string>,
  { sha256 }: Assets,
): Provenance | undefined {
  const whole: Hash = createHash('sha256')
  const lines: string[] = []
  for (const id of ids) {
    const path = images.get(id)
    const digest = path === undefined ? undefined : sha256.get(path)
    if (path === undefined || digest === undefined) return undefined
    whole.update(digest)
    lines.push(`${id}\t${digest}\t${path}`)
  }
  return lines.length === 0 ? undefined : { sha256: whole.digest('hex'), lines }
}
