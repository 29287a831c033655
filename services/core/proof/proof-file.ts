import { z } from 'zod'
import { Policy } from '../policy.ts'

/** What a proof means, in every one: it is easily taken for more. */
export const PROOF_SAYS =
  'These nodes had all of these blocks at checkedAt, under these policies, as far as a challenge of up to 60 blocks each shows. It says nothing of the time after, and is no promise of permanence.'

const Word = z.string().regex(/^0x[0-9a-f]{64}$/, '32 bytes in lower-case hex')
const Address = z.string().regex(/^0x[0-9a-f]{40}$/, 'an address in lower-case hex')
/** Until the year 9999. */
const Time = z.number().int().min(0).max(253_402_300_799).describe('Seconds since 1970')
const Count = z.number().int().nonnegative()

/** In the one form that they have: a signature in another form would be another text for the same thing. */
function base64url(bytes: number) {
  return z.string().refine((text) => {
    const decoded = Buffer.from(text, 'base64url')
    return decoded.length === bytes && decoded.toString('base64url') === text
  }, `${bytes} bytes in base64url`)
}

export const ProofSeed = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('block'), number: Count, hash: Word }).describe('A block of the chain'),
  z.strictObject({ kind: z.literal('random'), value: Word }).describe('Drawn by the publisher, for want of a chain'),
])

const HolderOfProof = z.strictObject({
  node: base64url(32).describe('Ed25519 public key'),
  blocks: Count,
  bytes: Count,
  answers: z.string().regex(/^[0-9a-f]{64}$/),
  signature: base64url(64),
  checkedBy: z.array(z.strictObject({ node: base64url(32), signature: base64url(64) })).max(32),
})

export const StatementOfProof = z.strictObject({
  cid: z.string().max(512).describe('CIDv1, base32'),
  size: Count,
  policy: Policy,
  replicas: Count,
  holders: z.array(HolderOfProof).min(1).max(255),
  checkedAt: Time,
  validUntil: Time,
})
export type StatementOfProof = z.infer<typeof StatementOfProof>

export const AnchorKind = z.enum(['none', 'eas-timestamp', 'pin-anchor', 'event'])
export type AnchorKind = z.infer<typeof AnchorKind>

export const ProofAnchor = z.strictObject({
  kind: AnchorKind.exclude(['none']),
  publisher: Address,
  transaction: Word.nullable().describe('Null: not sent yet, or somebody else anchored this root'),
  block: z.strictObject({ number: Count, hash: Word }).nullable(),
  state: z
    .enum(['pending', 'included', 'final', 'failed'])
    .describe('`final` when its block is finalised; `failed`: given up, so it is anchored nowhere'),
})
export type ProofAnchor = z.infer<typeof ProofAnchor>

/** A proof as it is handed on. All that can be checked without the service is checked from it alone. */
export const ProofFile = z
  .strictObject({
    schema: z.literal('holdfast-proof-1'),
    says: z.literal(PROOF_SAYS),
    domain: z.strictObject({
      name: z.literal('Holdfast'),
      version: z.literal('1'),
      chainId: Count,
      verifyingContract: Address,
    }),
    seed: ProofSeed,
    root: Word,
    leaves: Count,
    takenAt: Time,
    manifest: z.string().max(512).nullable().describe('CID of a document with all statements'),
    signer: Address,
    signature: z.string().regex(/^0x[0-9a-f]{130}$/, '65 bytes in lower-case hex'),
    anchor: ProofAnchor.nullable(),
    statements: z.array(StatementOfProof.extend({ path: z.array(Word).max(64) })).min(1),
  })
  .meta({ id: 'ProofFile' })
export type ProofFile = z.infer<typeof ProofFile>
