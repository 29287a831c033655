import { randomBytes } from 'node:crypto'
import type { Database } from '../catalog/database.ts'
import { registerNode, takeChallenge } from '../catalog/nodes-joining.ts'
import { hashToken } from '../catalog/token-text.ts'
import { HoldfastError } from '../core/errors.ts'
import { isSignedBy } from '../core/node-key.ts'
import { registrationMessage, type Registered, type Registration } from '../core/sync.ts'

const SESSION_BYTES = 32

/**
 * Lets in the node that proves to hold the key that it names.
 * @throws UNAUTHORIZED for a wrong proof, a used or old challenge, or a new node without a valid join token;
 *   CONFLICT when another node has its name
 */
export async function register(db: Database, registration: Registration): Promise<Registered> {
  const { publicKey, challenge, proof } = registration
  if (!isSignedBy(publicKey, registrationMessage(challenge, publicKey), proof)) {
    throw new HoldfastError('UNAUTHORIZED', 'The proof is not a signature of this key over this challenge.')
  }
  await takeChallenge(db, challenge)
  const session = randomBytes(SESSION_BYTES).toString('base64url')
  const node = await registerNode(db, { registration, sessionHash: hashToken(session) })
  return { ...node, session }
}
