import { HoldfastError } from '../../core/errors.ts'
import type { FirstNode } from './first-nodes.ts'
import { NodeRefused, type Intake, type IntakeAnswer, type IntakeClient } from './intake-client.ts'

/** Asks the candidates in turn until one takes the body. From its first byte on the upload is that node's. */
export async function sendToFirst(
  client: IntakeClient,
  candidates: readonly FirstNode[],
  intake: Intake,
): Promise<{ node: FirstNode; answer: IntakeAnswer }> {
  let refusal: HoldfastError | undefined
  for (const node of candidates) {
    try {
      return { node, answer: await client.send(node, intake) }
    } catch (error) {
      if (!(error instanceof NodeRefused)) throw error
      refusal = error.cause
    }
  }
  throw refusal ?? new HoldfastError('NO_NODE_AVAILABLE', 'No storage node can take an upload just now.')
}

/** A node that found blocks missing has committed nothing: its pin is fetched like any other. */
export function firstCopyOf(node: FirstNode, { complete, epoch, bytes, blocks }: IntakeAnswer) {
  return complete ? { node: node.name, epoch, bytes, blocks } : undefined
}
