import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { isSignedByKey, problemsOnChain } from '../chain/anchor/check-on-chain.ts'
import { signerOf } from '../chain/chain-key.ts'
import { isSignedByContract } from '../chain/contract-signature.ts'
import type { Hex } from '../chain/hex.ts'
import { pinBlock } from '../chain/pin-block.ts'
import { ProviderPool } from '../chain/provider-pool.ts'
import { checkStatements, type ProofProblem } from '../core/proof/check-proof.ts'
import { ProofFile } from '../core/proof/proof-file.ts'
import { ReportSignature, signedReportDigest } from '../core/proof/report-signature.ts'
import { CommandError, EXIT } from './exit-codes.ts'

export interface VerifyOptions {
  /** JSON-RPC of the chain; undefined: nobody is asked. */
  rpc: string | undefined
  /** Whose signature is expected, in any case of letters; undefined: anybody's. */
  signer: string | undefined
  signal: AbortSignal
}

export interface VerifiedProof {
  proof: ProofFile
  problems: ProofProblem[]
}

/** Checks a proof by itself, and by its chain when there is a way to it. @throws CommandError with `usage` for what is no proof */
export async function verifyProof(file: string, { rpc, signer, signal }: VerifyOptions): Promise<VerifiedProof> {
  const proof = parsed(ProofFile, await textOf(file), file, 'a proof of Holdfast')
  const problems = checkStatements(proof, Math.floor(Date.now() / 1_000))
  if (rpc === undefined) {
    if (!isSignedByKey(proof)) problems.push({ problem: unsigned() })
  } else {
    problems.push(...(await problemsOnChain(proof, poolOf(rpc), { signal })))
  }
  return { proof, problems: [...problems, ...signerProblems(proof.signer, signer)] }
}

/** Checks a report of a collection against its signature. @throws CommandError with `usage` for what is neither */
export async function verifyReport(
  file: string,
  signatureFile: string,
  { rpc, signer, signal }: VerifyOptions,
): Promise<{ signature: ReportSignature; problems: ProofProblem[] }> {
  const text = await textOf(file)
  const signature = parsed(ReportSignature, await textOf(signatureFile), signatureFile, 'the signature of a report')
  const digest = signedReportDigest(signature)
  const problems: ProofProblem[] = []
  if (hash('sha256', text, 'hex') !== signature.reportSha256) problems.push({ problem: 'it is another report' })
  const { pointers } = JSON.parse(text) as { pointers?: { collection?: unknown; block?: { hash?: unknown } } }
  if (pointers?.collection !== signature.collection || pointers.block?.hash !== signature.block.hash) {
    problems.push({ problem: 'it is about another collection or block than was signed' })
  }
  if (signerOf(digest, signature.signature) !== signature.signer) {
    const isContracts = rpc !== undefined && (await isAccepted(signature, digest, poolOf(rpc), signal))
    if (!isContracts) problems.push({ problem: rpc === undefined ? unsigned() : 'its signer did not sign it' })
  }
  return { signature, problems: [...problems, ...signerProblems(signature.signer, signer)] }
}

async function isAccepted(
  { signer, signature }: ReportSignature,
  digest: Uint8Array,
  pool: ProviderPool,
  signal: AbortSignal,
): Promise<boolean> {
  const block = await pinBlock(pool, 'latest', { signal })
  return await isSignedByContract(signer as Hex, { digest, signature: signature as Hex }, { pool, block, signal })
}

function poolOf(url: string): ProviderPool {
  if (!URL.canParse(url)) throw new CommandError(EXIT.usage, '--rpc takes the URL of a JSON-RPC server.')
  return new ProviderPool([{ name: 'rpc', url }])
}

function unsigned(): string {
  return 'its signer did not sign it by a key; whether it is a contract that did, --rpc can tell'
}

function signerProblems(actual: string, expected: string | undefined): ProofProblem[] {
  if (expected === undefined || expected.toLowerCase() === actual) return []
  return [{ problem: `it is signed by ${actual}, not by ${expected}` }]
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'it cannot be opened'
    throw new CommandError(EXIT.usage, `${file} cannot be read: ${reason}.`, { cause })
  }
}

function parsed<T>(schema: z.ZodType<T>, text: string, file: string, what: string): T {
  try {
    return schema.parse(JSON.parse(text))
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${file} is not ${what}.`, { cause })
  }
}
