import { z } from 'zod'
import { domainOf, reportDigest, type Signer } from './typed-data.ts'

const Word = z.string().regex(/^0x[0-9a-f]{64}$/, '32 bytes in lower-case hex')

/** The signature of a collection's report, beside the report: that stays the same byte for byte. */
export const ReportSignature = z
  .strictObject({
    schema: z.literal('holdfast-report-signature-1'),
    chainId: z.number().int().nonnegative(),
    collection: z.string().max(300).describe('CAIP-19'),
    reportSha256: z.string().regex(/^[0-9a-f]{64}$/),
    block: z.strictObject({ number: z.string().regex(/^\d{1,78}$/), hash: Word }),
    signer: z.string().regex(/^0x[0-9a-f]{40}$/),
    signature: z.string().regex(/^0x[0-9a-f]{130}$/),
  })
  .meta({ id: 'ReportSignature' })
export type ReportSignature = z.infer<typeof ReportSignature>

/** Signs a report under its hash, with the block by which it was read. */
export function signReport(signer: Signer, report: Omit<ReportSignature, 'schema' | 'signer' | 'signature'>) {
  const { chainId, collection, reportSha256, block } = report
  const unsigned = { schema: 'holdfast-report-signature-1' as const, chainId, collection, reportSha256, block }
  return { ...unsigned, signer: signer.address.toLowerCase(), signature: signer.sign(signedReportDigest(unsigned)) }
}

/** What is signed (EIP-712). */
export function signedReportDigest({
  chainId,
  collection,
  reportSha256,
  block,
}: Pick<ReportSignature, 'chainId' | 'collection' | 'reportSha256' | 'block'>): Uint8Array {
  return reportDigest(domainOf(chainId), {
    collection,
    report: Buffer.from(reportSha256, 'hex'),
    blockNumber: BigInt(block.number),
    blockHash: Buffer.from(block.hash.slice(2), 'hex'),
  })
}
