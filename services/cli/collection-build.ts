import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import type { TokenStandard } from '../core/collection-build/token-name.ts'
import { refusal, showBuild, tellProblems, viewOf, type BuildView } from './build-view.ts'
import type { CollectionFolder } from './collection-folder.ts'
import { durationFlag, only, textFlag, type Command, type Flags, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { print } from './output.ts'
import type { PreparedCollection } from './prepare-collection.ts'
import { ProgressLine } from './progress.ts'
import { WAIT_OPTIONS } from './wait.ts'

export const collectionBuild: Command = {
  name: 'collection build',
  operands: '<folder>',
  summary:
    'Check images and metadata before they are minted, let the metadata lead to the images on IPFS, and pin both',
  options: {
    check: { type: 'boolean', help: 'check and tell the CIDs; nothing is sent' },
    'dry-run': { type: 'boolean', help: 'the same' },
    erc1155: { type: 'boolean', help: 'tokens of ERC-1155: files are called by 64 digits of hex, as {id} asks for' },
    suffix: {
      type: 'string',
      value: '<.json | none>',
      help: 'what stands behind the names of metadata (none; .json with --erc1155)',
    },
    strict: { type: 'boolean', help: 'warnings count as errors' },
    out: {
      type: 'string',
      value: '<folder>',
      help: 'write the metadata as it is pinned, the provenance and the result here',
    },
    name: { type: 'string', help: 'what the pins are called; the name of the folder when left out' },
    policy: { type: 'string', help: 'replication policy' },
    timeout: WAIT_OPTIONS.timeout,
  },
  async run(invocation) {
    const { operands, flags } = invocation
    const folder = only(operands, 'the folder of the collection')
    const settings = settingsFrom(flags, folder)
    if ((await lookAt(folder)).kind !== 'folder') throw new CommandError(EXIT.usage, `${folder} is no folder.`)
    const target = await openTarget(settings.out)
    try {
      await build(folder, { ...settings, target }, invocation)
    } finally {
      await rm(target, { recursive: true, force: true })
    }
  },
}

interface Settings {
  standard: TokenStandard
  suffix: string
  out: string | undefined
  name: string
  policy: string | undefined
  isChecked: boolean
  isStrict: boolean
  timeoutMs: number
}

function settingsFrom(flags: Flags, folder: string): Settings {
  const standard = flags['erc1155'] === true ? 'erc1155' : 'erc721'
  const suffix = textFlag(flags, 'suffix') ?? (standard === 'erc1155' ? '.json' : 'none')
  if (suffix !== '.json' && suffix !== 'none') throw new CommandError(EXIT.usage, '--suffix takes .json or none.')
  const out = textFlag(flags, 'out')
  if (out !== undefined && !relative(resolve(folder), resolve(out)).startsWith('..')) {
    throw new CommandError(EXIT.usage, '--out must not be in the folder of the collection, which is never changed.')
  }
  return {
    standard,
    suffix: suffix === 'none' ? '' : suffix,
    out: out === undefined ? undefined : resolve(out),
    name: textFlag(flags, 'name') ?? basename(resolve(folder)),
    policy: textFlag(flags, 'policy'),
    isChecked: flags['check'] === true || flags['dry-run'] === true,
    isStrict: flags['strict'] === true,
    timeoutMs: durationFlag(flags, 'timeout'),
  }
}

/** Where the result is written until it is whole: beside its place, or where it is only kept for now. */
async function openTarget(out: string | undefined): Promise<string> {
  if (out === undefined) return await mkdtemp(join(tmpdir(), 'holdfast-build-'))
  if ((await stat(out).catch(() => undefined)) !== undefined) {
    throw new CommandError(EXIT.usage, `${out} is there already, and is not overwritten.`)
  }
  try {
    const partial = `${out}.${process.pid}.partial`
    await mkdir(partial)
    return partial
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${out} cannot be written: ${(cause as NodeJS.ErrnoException).code}.`, { cause })
  }
}

async function build(folder: string, settings: Settings & { target: string }, invocation: Invocation): Promise<void> {
  const { output, signal } = invocation
  const { splitCollection } = await import('./collection-folder.ts')
  const collection = splitCollection(await listFolder(folder, signal), settings.standard)
  const prepared = await prepare(collection, settings, invocation)
  const view = viewOf(collection, prepared, settings)
  tellProblems(output, prepared.problems)
  const refused = refusal(view, settings.isStrict)
  if (refused !== undefined) {
    if (output.json) print(output, view, () => '')
    throw refused
  }
  const problem = settings.isChecked ? undefined : await send(view, prepared, settings, invocation)
  await keep(view, prepared, settings)
  showBuild(output, view, settings)
  if (problem !== undefined) throw problem
}

async function prepare(
  collection: CollectionFolder,
  settings: Settings & { target: string },
  { output, signal }: Invocation,
): Promise<PreparedCollection> {
  const { prepareCollection } = await import('./prepare-collection.ts')
  using line = new ProgressLine(output)
  return await prepareCollection(collection, { ...settings, line, signal })
}

async function send(
  view: BuildView,
  prepared: PreparedCollection,
  settings: Settings,
  invocation: Invocation,
): Promise<CommandError | undefined> {
  const { sendCollection } = await import('./send-collection.ts')
  return await sendCollection(view, prepared, settings, invocation)
}

/** Puts what was written in its place, when it was asked for. */
async function keep(
  view: BuildView,
  { provenance }: PreparedCollection,
  { target, out }: Settings & { target: string },
): Promise<void> {
  if (out === undefined) return
  if (provenance !== undefined) await writeFile(join(target, 'provenance.txt'), `${provenance.lines.join('\n')}\n`)
  await writeFile(join(target, 'result.json'), `${JSON.stringify(view, undefined, 2)}\n`)
  await rename(target, out)
}
