import { writeFile } from 'node:fs/promises'
import { nearest } from '../core/nearest.ts'
import { VERDICTS, type TokenVerdict } from '../core/collection-report/verdict.ts'
import { collectionBuild } from './collection-build.ts'
import { countFlag, durationFlag, only, textFlag, type Command, type Flags } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { note, print, table } from './output.ts'
import { plain } from './terminal-text.ts'
import { waitUntilDone } from './wait-until-done.ts'

interface VerificationView {
  id: string
  collection: string
  state: 'queued' | 'reading' | 'checking' | 'done' | 'failed'
  block: { number: string; hash: string } | null
  coverage: { strategy: string; isComplete: boolean; gaps: string[] } | null
  tokens: number
  checked: number
  figures: { verdicts: Record<string, number> } | null
  error: { code: string; message: string } | null
}

const verify: Command = {
  name: 'collection verify',
  operands: '<eip155:1/erc721:0x…>',
  summary: 'Look at every token of a contract: what it points to, who has it, and a verdict with evidence',
  options: {
    block: { type: 'string', default: 'finalized', help: 'finalized, safe, latest, or a number' },
    'fail-on': {
      type: 'string',
      default: 'MISSING,CORRUPT',
      value: '<verdicts>',
      help: 'exit with 5 when a token has one of these verdicts; `none` for none',
    },
    'from-block': { type: 'string', value: '<number>', help: 'where the contract was made, if providers cannot tell' },
    ids: { type: 'string', value: '<id,…>', help: 'only these tokens' },
    max: { type: 'string', value: '<tokens>', help: 'tokens that are looked at, at most' },
    rehash: {
      type: 'boolean',
      help: 'holders read their copies back from disk first; those that do not are not counted',
    },
    report: { type: 'string', value: '<file>', help: 'write the report: .json, .ndjson or .html' },
    signature: { type: 'string', value: '<file>', help: 'write the signature of the report in JSON' },
    pin: { type: 'boolean', help: 'keep the report in JSON, pinned, and print its CID' },
    timeout: { type: 'string', default: '30m', help: 'longest wait, such as 90s' },
  },
  async run({ operands, flags, output, signal, api }) {
    const path = pathOf(only(operands, 'a collection'))
    const failOn = verdictsIn(textFlag(flags, 'fail-on') ?? '')
    const report = reportFile(textFlag(flags, 'report'))
    const timeoutMs = durationFlag(flags, 'timeout')
    const client = await api()
    const { id } = await client.post<VerificationView>(path, wish(flags), { signal })
    note(output, `verification ${id}`)
    const done = await waitUntilDone<VerificationView>(client, `${path}/${id}`, {
      what: 'verification',
      progress: ({ state, checked, tokens }) => `${state}: ${checked} of ${tokens} tokens`,
      failed,
      output,
      timeoutMs,
      signal,
    })
    if (report !== undefined) {
      await writeFile(report.file, await client.text(`${path}/${id}.${report.format}`, { signal }))
    }
    const signature = textFlag(flags, 'signature')
    if (signature !== undefined) {
      await writeFile(signature, await client.text(`${path}/${id}.signature.json`, { signal }))
    }
    if (flags['pin'] === true) {
      const { cid } = await client.post<{ cid: string }>(`${path}/${id}/pin`, undefined, { signal })
      note(output, `the report is kept as ${cid}`)
    }
    print(output, done, (view) => (output.quiet ? view.id : text(view, output)))
    judge(done, failOn)
  },
}

function wish(flags: Flags): Record<string, unknown> {
  const ids = textFlag(flags, 'ids')
  const fromBlock = textFlag(flags, 'from-block')
  return {
    block: textFlag(flags, 'block'),
    ...(ids !== undefined && { ids: ids.split(',').map((id) => id.trim()) }),
    ...(fromBlock !== undefined && { fromBlock }),
    ...(flags['max'] !== undefined && { maxTokens: countFlag(flags, 'max') }),
    ...(flags['rehash'] === true && { rehash: true }),
  }
}

function pathOf(collection: string): string {
  return `/v1/collections/${encodeURIComponent(collection)}/verifications`
}

function verdictsIn(words: string): TokenVerdict[] {
  if (words === 'none') return []
  return words.split(',').map((word) => {
    const name = word.trim().toUpperCase().replaceAll('-', '_')
    const verdict = VERDICTS.find((one) => one === name)
    if (verdict !== undefined) return verdict
    const close = nearest(name, [...VERDICTS])
    const hint = close === undefined ? `They are ${VERDICTS.join(', ')}.` : `Did you mean ${close}?`
    throw new CommandError(EXIT.usage, `There is no verdict ${JSON.stringify(word)}. ${hint}`)
  })
}

function reportFile(file: string | undefined): { file: string; format: string } | undefined {
  if (file === undefined) return undefined
  const format = /\.(json|ndjson|html)$/.exec(file)?.[1]
  if (format === undefined)
    throw new CommandError(EXIT.usage, '--report takes a file that ends in .json, .ndjson or .html.')
  return { file, format }
}

function failed({ error }: VerificationView): CommandError {
  const usage = error?.code === 'BAD_REQUEST' ? EXIT.usage : undefined
  const code = usage ?? (error?.code === 'NOT_FOUND' ? EXIT.notFound : EXIT.failure)
  return new CommandError(code, plain(error?.message ?? 'The collection could not be verified.'))
}

function text({ block, tokens, coverage, figures }: VerificationView, output: Parameters<typeof table>[0]): string {
  const verdicts = figures?.verdicts ?? {}
  const rows = VERDICTS.flatMap((name) => (verdicts[name] === undefined ? [] : [[name, String(verdicts[name])]]))
  const count = coverage?.isComplete === true ? `${tokens} tokens` : `at least ${tokens} tokens`
  const head = `${count} at block ${block?.number ?? '?'}, found by ${coverage?.strategy ?? '?'}`
  return [head, ...(coverage?.gaps ?? []).map(plain), table(output, ['VERDICT', 'TOKENS'], rows)].join('\n')
}

/** @throws CommandError with `verification` when a token has one of the verdicts */
function judge({ figures }: VerificationView, failOn: readonly TokenVerdict[]): void {
  const found = failOn.flatMap((verdict) => {
    const count = figures?.verdicts[verdict] ?? 0
    return count === 0 ? [] : [`${count} ${verdict}`]
  })
  if (found.length > 0) throw new CommandError(EXIT.verification, `Tokens that must not be: ${found.join(', ')}.`)
}

export const collectionCommands: readonly Command[] = [collectionBuild, verify]
