import { basename } from 'node:path'
import type { BuildProblem } from '../core/collection-build/problem.ts'
import type { TokenStandard } from '../core/collection-build/token-name.ts'
import type { CollectionFolder } from './collection-folder.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { note, print, table, warn, type Output } from './output.ts'
import type { PinView } from './pin-view.ts'
import type { PreparedCollection, PreparedFolder } from './prepare-collection.ts'
import { plain } from './terminal-text.ts'

export interface FolderView {
  cid: string
  files: number
  bytes: number
  /** Null when nothing was sent. */
  sentBytes: number | null
  pin: PinView | null
}

/** What a build has come to; with `--json` it is printed as it is. */
export interface BuildView {
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

/** What a build will come to, before anything is sent. */
export function viewOf(
  { tokens, about }: CollectionFolder,
  { assets, metadata, provenance, problems }: PreparedCollection,
  { standard, suffix }: { standard: TokenStandard; suffix: string },
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

export function tellProblems(output: Output, problems: readonly BuildProblem[]): void {
  if (output.json) return
  for (const { level, code, file, message } of problems) {
    warn(output, `${level} ${code} ${file === '' ? '' : `${plain(file)}: `}${plain(message)}`)
  }
}

/** Why nothing is sent; undefined when nothing keeps it from being. */
export function refusal({ problems, tokens }: BuildView, isStrict: boolean): CommandError | undefined {
  const errors = problems.filter(({ level }) => level === 'error').length
  const warnings = problems.length - errors
  if (errors > 0 || (isStrict && warnings > 0)) {
    const message = `${counted(errors, 'error')} and ${counted(warnings, 'warning')}; nothing is sent.`
    return new CommandError(EXIT.verification, message)
  }
  if (tokens.count > 0) return undefined
  const message = 'The folder has no metadata: files that are called by the number of a token, such as 7.json.'
  return new CommandError(EXIT.usage, message)
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** What a build has come to, and what to do with it. */
export function showBuild(
  output: Output,
  view: BuildView,
  { suffix, isChecked }: { suffix: string; isChecked: boolean },
): void {
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
  note(output, advice(view.standard, suffix))
}

function advice(standard: TokenStandard, suffix: string): string {
  if (standard === 'erc1155') return 'Set the token URI, with {id} in it, as the uri of the contract.'
  const ending =
    suffix === ''
      ? 'it puts the number of the token behind it, and nothing else'
      : `its tokenURI must put ${suffix} behind the number`
  return `Set the base URI in the contract, with the slash at its end; ${ending}.`
}
