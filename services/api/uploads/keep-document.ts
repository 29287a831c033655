import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Database } from '../../catalog/database.ts'
import type { PinAcceptor } from '../../catalog/pins-accept.ts'
import { getPolicy } from '../../catalog/policies.ts'
import { parseCid } from '../../core/cid.ts'
import { HoldfastError } from '../../core/errors.ts'
import { DEFAULT_POLICY_NAME } from '../../core/policy.ts'
import { DEFAULT_PROFILE } from '../../dag/profile.ts'
import { firstNodes } from './first-nodes.ts'
import type { IntakeClient } from './intake-client.ts'
import { firstCopyOf, sendToFirst } from './send-to-first.ts'

export interface KeepParts {
  db: Database
  acceptor: PinAcceptor
  intake: IntakeClient
  maxUploadBytes: number
}

/** {@link keepDocument} with what it needs. */
export type KeepDocument = (tenantId: number, document: Document) => Promise<string>

interface Document {
  name: string
  text: AsyncIterable<string>
  signal: AbortSignal
}

/**
 * Keeps a document of JSON that the service has made for an account: uploaded like any file, and pinned under the default
 * policy. Answers its CID.
 * @throws NO_NODE_AVAILABLE, INSUFFICIENT_FUNDS; what the node answers
 */
export async function keepDocument(
  { db, acceptor, intake, maxUploadBytes }: KeepParts,
  tenantId: number,
  { name, text, signal }: Document,
): Promise<string> {
  const policy = await getPolicy(db, tenantId, DEFAULT_POLICY_NAME)
  if (policy === undefined) throw new HoldfastError('INTERNAL_ERROR', 'There is no default policy.')
  const candidates = await firstNodes(db, { policy: policy.policy, key: randomUUID(), sizeBytes: undefined })
  const { node, answer } = await sendToFirst(intake, candidates, {
    query: { kind: 'file', profile: DEFAULT_PROFILE, maxBytes: String(maxUploadBytes) },
    contentType: 'application/json',
    length: undefined,
    body: Readable.from(text),
    signal,
  })
  await acceptor.accept(tenantId, {
    cid: parseCid(answer.cid),
    cidText: answer.cid,
    name,
    policy: DEFAULT_POLICY_NAME,
    profile: answer.profile,
    firstCopy: firstCopyOf(node, answer),
  })
  return answer.cid
}
