import { writeFile } from 'node:fs/promises'
import type { ProofFile } from '../core/proof/proof-file.ts'
import { formatSize } from '../core/units.ts'
import type { ApiClient } from './client.ts'
import { durationFlag, only, textFlag, type Command, type Flags, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { note, print, table, warn, type Output } from './output.ts'
import { plain } from './terminal-text.ts'
import { waitUntilDone } from './wait-until-done.ts'

interface ProofView {
  id: string
  state: 'queued' | 'challenging' | 'stating' | 'anchoring' | 'done' | 'failed'
  says: string
  anchorKind: string
  roots: number
  statements: number
  root: string | null
  manifest: string | null
  signer: string | null
  anchor: { state: string; transaction: string | null } | null
  hindrance: { code: string; message: string; since: string; triedAgainAt: string } | null
  error: { code: string; message: string } | null
  refused?: { cid: string; isStated: boolean; refused: { node: string; reason: string }[] }[]
}

const OUT = { type: 'string', value: '<file>', help: 'write the proof there' } as const

const TIMEOUT = {
  type: 'string',
  default: '30m',
  help: 'longest wait, such as 90s; an anchor is final after a while',
} as const

const create: Command = {
  name: 'proof create',
  operands: '[cid | request id …]',
  summary: 'Have holders show that they have all blocks of pins (all pins when none are named), and sign that',
  options: {
    collection: { type: 'string', value: '<eip155:1/erc721:0x…>', help: 'pins that its newest verification found' },
    anchor: { type: 'string', default: 'none', help: 'none, eas-timestamp, pin-anchor or event' },
    out: OUT,
    timeout: TIMEOUT,
  },
  async run({ operands, flags, output, signal, api }) {
    const client = await api()
    const { id } = await client.post<ProofView>('/v1/proofs', wish(operands, flags), { signal })
    note(output, `proof ${id}`)
    await follow(client, id, { flags, output, signal })
  },
}

const anchor: Command = {
  name: 'proof anchor',
  operands: '<id>',
  summary: 'Try the anchor of a proof again that has failed, and wait for it',
  options: { out: OUT, timeout: TIMEOUT },
  async run({ operands, flags, output, signal, api }) {
    const id = only(operands, 'a proof by its id')
    const client = await api()
    await client.post(`/v1/proofs/${encodeURIComponent(id)}/anchor`, {}, { signal })
    await follow(client, id, { flags, output, signal })
  },
}

/** Waits for a proof, saves and shows it. @throws CommandError when it was not made, or is anchored nowhere */
async function follow(
  client: ApiClient,
  id: string,
  { flags, output, signal }: Pick<Invocation, 'flags' | 'output' | 'signal'>,
): Promise<void> {
  const told = new Set<string>()
  const done = await waitUntilDone<ProofView>(client, `/v1/proofs/${encodeURIComponent(id)}`, {
    what: 'proof',
    progress: ({ state, statements, roots }) => `${state}: ${statements} statements of ${roots} roots`,
    // Once for each kind: figures in the words change.
    aside({ hindrance }) {
      if (hindrance === null || told.has(hindrance.code)) return undefined
      told.add(hindrance.code)
      return hinders(hindrance)
    },
    failed,
    output,
    timeoutMs: durationFlag(flags, 'timeout'),
    signal,
  })
  await save(client, id, flags, signal)
  show(output, done)
  if (done.anchor?.state !== 'failed') return
  throw new CommandError(EXIT.failure, `It is signed, and anchored nowhere; "proof anchor ${id}" tries again.`)
}

function hinders({ message, since, triedAgainAt }: NonNullable<ProofView['hindrance']>): string {
  return `It comes no further since ${since}: ${plain(message)} Tried again at ${triedAgainAt}.`
}

const get: Command = {
  name: 'proof get',
  operands: '<id>',
  summary: 'How far a proof is; with --out, the proof as a file that anybody can check',
  options: {
    out: OUT,
    cid: { type: 'string', value: '<cid>', help: 'only the statements of this root: a small file' },
  },
  async run({ operands, flags, output, signal, api }) {
    const id = only(operands, 'a proof by its id')
    const client = await api()
    const view = await client.get<ProofView>(`/v1/proofs/${encodeURIComponent(id)}`, { signal })
    await save(client, id, flags, signal)
    show(output, view)
  },
}

const verify: Command = {
  name: 'proof verify',
  operands: '<file>',
  summary: 'Check a proof, or with --signature a report of a collection, without the service',
  options: {
    rpc: { type: 'string', value: '<url>', help: 'JSON-RPC of the chain: checks anchor, seed, contracts that sign' },
    signer: { type: 'string', value: '<0x…>', help: 'whose signature it has to be; without it look at who it is' },
    signature: { type: 'string', value: '<file>', help: 'of a report of a collection' },
  },
  run: runVerify,
}

async function runVerify({ operands, flags, output, signal }: Invocation): Promise<void> {
  const file = only(operands, 'a file')
  const { verifyProof, verifyReport } = await import('./proof-verify.ts')
  const options = { rpc: textFlag(flags, 'rpc'), signer: textFlag(flags, 'signer'), signal }
  const signatureFile = textFlag(flags, 'signature')
  if (signatureFile !== undefined) {
    const { signature, problems } = await verifyReport(file, signatureFile, options)
    const { signer, collection, block } = signature
    const said = `signed by ${signer}: ${plain(collection)} at block ${block.number}`
    print(output, { isValid: problems.length === 0, problems, signature }, () => said)
    judge(problems)
    return
  }
  const { proof, problems } = await verifyProof(file, options)
  const isValid = problems.length === 0
  print(output, { isValid, problems, ...summary(proof) }, () => text(proof, output))
  note(output, proof.says)
  if (proof.anchor?.state === 'failed') warn(output, 'It is signed, and anchored nowhere: its anchor failed.')
  else if (options.rpc === undefined && proof.anchor !== null) note(output, 'Its anchor was not looked at: say --rpc.')
  judge(problems)
}

function wish(operands: readonly string[], flags: Flags): Record<string, unknown> {
  const collection = textFlag(flags, 'collection')
  return {
    anchor: textFlag(flags, 'anchor'),
    ...(operands.length > 0 && { pins: operands }),
    ...(collection !== undefined && { collection }),
  }
}

async function save(client: ApiClient, id: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const file = textFlag(flags, 'out')
  if (file === undefined) return
  const query = { cid: textFlag(flags, 'cid') }
  await writeFile(file, await client.text(`/v1/proofs/${encodeURIComponent(id)}.json`, { query, signal }))
}

function failed({ error }: ProofView): CommandError {
  return new CommandError(EXIT.failure, plain(error?.message ?? 'The proof could not be made.'))
}

function show(output: Output, view: ProofView): void {
  print(output, view, ({ id, state, statements, roots, signer, root, anchor, anchorKind }) => {
    if (output.quiet) return id
    const anchored = anchor === null ? anchorKind : `${anchorKind}, ${anchor.state}`
    const head = `${state}: ${statements} statements of ${roots} roots, signed by ${signer ?? 'nobody yet'}`
    return [head, `root ${root ?? '?'}, anchor ${anchored}`, view.says].join('\n')
  })
  if (view.hindrance !== null) warn(output, hinders(view.hindrance))
  if (view.error !== null) warn(output, plain(view.error.message))
  for (const { cid, isStated, refused } of view.refused ?? []) {
    const reasons = [...new Set(refused.map(({ reason }) => reason))].join(', ')
    const what = isStated ? `${refused.length} copies are not stated` : 'nothing is stated'
    warn(output, `${cid}: ${what}${reasons === '' ? '' : ` (${reasons})`}`)
  }
}

function summary({ signer, root, leaves, takenAt, seed, anchor, statements }: ProofFile) {
  return { signer, root, leaves, takenAt: timeOf(takenAt), seed, anchor, statements: statements.map(rowOf) }
}

function rowOf({ cid, size, replicas, holders, checkedAt, validUntil }: ProofFile['statements'][number]) {
  const checked = holders.filter(({ checkedBy }) => checkedBy.length > 0).length
  return { cid, size, replicas, checked, checkedAt: timeOf(checkedAt), validUntil: timeOf(validUntil) }
}

function text(proof: ProofFile, output: Output): string {
  const { signer, root, leaves, statements, seed } = proof
  const rows = statements.map(rowOf).map(({ cid, size, replicas, checked, checkedAt, validUntil }) => {
    return [cid, formatSize(size), String(replicas), String(checked), checkedAt, validUntil]
  })
  const source = seed.kind === 'block' ? `block ${seed.number}` : 'a number that the signer drew'
  return [
    `${statements.length} of ${leaves} statements under ${root}`,
    `signed by ${signer}, challenged by ${source}`,
    table(output, ['CID', 'SIZE', 'COPIES', 'CHECKED', 'AT', 'VALID UNTIL'], rows),
  ].join('\n')
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z')
}

/** @throws CommandError with `verification` when anything does not hold */
function judge(problems: readonly { cid?: string; problem: string }[]): void {
  if (problems.length === 0) return
  const [first] = problems.map(({ cid, problem }) => (cid === undefined ? problem : `${cid}: ${problem}`))
  const more = problems.length > 1 ? `, and ${problems.length - 1} more` : ''
  throw new CommandError(EXIT.verification, `It does not hold: ${plain(first ?? '')}${more}.`)
}

export const proofCommands: readonly Command[] = [create, get, anchor, verify]
