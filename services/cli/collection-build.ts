import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import type { BuildProblem } from '../core/collection-build/problem.ts'
import type { TokenStandard } from '../core/collection-build/token-name.ts'
import type { CollectionFolder } from './collection-folder.ts'
import { durationFlag, only, textFlag, type Command, type Flags, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { listFolder, lookAt } from './list-folder.ts'
import { note, print, table, warn, type Output } from './output.ts'
import type { PinView } from './pin-view.ts'
import type { PreparedCollection, PreparedFolder } from './prepare-collection.ts'
import { ProgressLine } from './progress.ts'
import type { EarlierVersion, SentFolder } from './send-folder.ts'
import { plain } from './terminal-text.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

interface FolderView {
  cid: string
  files: number
  bytes: number
  /** Null when nothing was sent. */
  sentBytes: number | null
  pin: PinView | null
}

/** What a build has come to; with `--json` it is printed as it is. */
interface BuildView {
  standard: TokenStandard
  tokens: { count: number; first: string | null; last: string | null }
  assets: FolderView | null
  metadata: FolderView | null
  /** What a contract puts before the number of a token, and what the whole is then. */
  baseUri: string | null
  tokenUri: string | null
  contractUri: string | null
  provenance: string | null
  problems: BuildProblem[]
}

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
  const { prepareCollection } = await import('./prepare-collection.ts')
  const collection = splitCollection(await listFolder(folder, signal), settings.standard)
  if (collection.tokens.length === 0 && collection.problems.length === 0) {
    throw new CommandError(EXIT.usage, `${folder} has no metadata: files that are called by a number, such as 7.json.`)
  }
  const prepared = await prepare(collection, { ...settings, output, signal, prepareCollection })
  const view = viewOf(collection, prepared, settings)
  tellProblems(output, prepared.problems)
  const refused = refusal(prepared.problems, settings.isStrict)
  if (refused !== undefined) {
    if (output.json) print(output, view, () => '')
    throw refused
  }
  const problem = settings.isChecked ? undefined : await send(view, prepared, settings, invocation)
  await keep(view, prepared, settings)
  show(output, view, settings)
  if (problem !== undefined) throw problem
}

async function prepare(
  collection: CollectionFolder,
  {
    output,
    signal,
    prepareCollection,
    ...settings
  }: Settings & {
    target: string
    output: Output
    signal: AbortSignal
    prepareCollection: typeof import('./prepare-collection.ts').prepareCollection
  },
): Promise<PreparedCollection> {
  using line = new ProgressLine(output)
  return await prepareCollection(collection, { ...settings, line, signal })
}

function viewOf(
  { tokens, about }: CollectionFolder,
  { assets, metadata, provenance, problems }: PreparedCollection,
  { standard, suffix }: Settings,
): BuildView {
  const base = metadata === undefined ? null : `ipfs://${metadata.dag.root.toString()}/`
  const contract = about.map(({ name }) => basename(name)).sort((a, b) => (a > b ? -1 : 1))[0]
  return {
    standard,
    tokens: {
      count: tokens.length,
      first: tokens[0]?.id.toString() ?? null,
      last: tokens.at(-1)?.id.toString() ?? null,
    },
    assets: folderView(assets),
    metadata: folderView(metadata),
    baseUri: base,
    tokenUri: base === null ? null : `${base}${standard === 'erc1155' ? '{id}' : '<tokenId>'}${suffix}`,
    contractUri: base === null || contract === undefined ? null : `${base}${contract}`,
    provenance: provenance?.sha256 ?? null,
    problems,
  }
}

function folderView(prepared: PreparedFolder | undefined): FolderView | null {
  if (prepared === undefined) return null
  const { folder, dag } = prepared
  return { cid: dag.root.toString(), files: folder.files.length, bytes: folder.sizeBytes, sentBytes: null, pin: null }
}

function tellProblems(output: Output, problems: readonly BuildProblem[]): void {
  if (output.json) return
  for (const { level, code, file, message } of problems) {
    warn(output, `${level} ${code} ${file === '' ? '' : `${plain(file)}: `}${plain(message)}`)
  }
}

function refusal(problems: readonly BuildProblem[], isStrict: boolean): CommandError | undefined {
  const errors = problems.filter(({ level }) => level === 'error').length
  const warnings = problems.length - errors
  if (errors === 0 && !(isStrict && warnings > 0)) return undefined
  return new CommandError(
    EXIT.verification,
    `${counted(errors, 'error')} and ${counted(warnings, 'warning')}; nothing is sent.`,
  )
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Sends both folders and waits until they are pinned. Answers why that did not end well. */
async function send(
  view: BuildView,
  { assets, metadata }: PreparedCollection,
  { name, policy, timeoutMs }: Settings,
  invocation: Invocation,
): Promise<CommandError | undefined> {
  const { output, signal } = invocation
  const client = await invocation.api()
  const { sendFolder } = await import('./send-folder.ts')
  const sendPart = async (prepared: PreparedFolder, part: string): Promise<SentFolder> => {
    const pinName = `${name} ${part}`
    const earlier = async (): Promise<EarlierVersion | undefined> => {
      const query = { name: pinName, status: 'pinned', limit: 1 }
      const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query, signal })
      return results[0] && { cid: results[0].pin.cid, pin: results[0].requestid }
    }
    const { folder, dag } = prepared
    return await sendFolder(folder, dag, { name: pinName, policy, earlier, sharesPin: true }, invocation)
  }
  const parts = [
    { prepared: assets, part: 'assets', seen: view.assets },
    { prepared: metadata, part: 'metadata', seen: view.metadata },
  ]
  for (const { prepared, part, seen } of parts) {
    if (prepared === undefined || seen === null) continue
    Object.assign(seen, await sendPart(prepared, part))
  }
  for (const { seen } of parts) {
    if (seen?.pin == null) continue
    const { pin, problem } = await waitUntilPinned(client, seen.pin.requestid, { output, timeoutMs, signal })
    seen.pin = pin
    if (problem !== undefined) return problem
  }
  return undefined
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

function show(output: Output, view: BuildView, { standard, suffix, isChecked }: Settings): void {
  const rows = [
    ['assets', view.assets?.cid],
    ['metadata', view.metadata?.cid],
    ['base URI', view.baseUri],
    ['token URI', view.tokenUri],
    ['contract URI', view.contractUri],
    ['provenance', view.provenance],
  ].flatMap(([what, value]) => (value == null ? [] : [[what ?? '', value]]))
  const { count, first, last } = view.tokens
  print(output, view, () =>
    output.quiet ? (view.metadata?.cid ?? '') : table(output, ['', `${count} tokens, ${first} to ${last}`], rows),
  )
  if (isChecked) note(output, 'Nothing was sent. The CIDs stay what they are while the files do.')
  note(output, advice(standard, suffix))
}

function advice(standard: TokenStandard, suffix: string): string {
  if (standard === 'erc1155') return 'Set the token URI, with {id} in it, as the uri of the contract.'
  const ending =
    suffix === ''
      ? 'it puts the number of the token behind it, and nothing else'
      : `its tokenURI must put ${suffix} behind the number`
  return `Set the base URI in the contract, with the slash at its end; ${ending}.`
}
