import { AbiCoder } from 'ethers'
import { HoldfastError } from '../../core/errors.ts'
import { bytesOfHex, type Hex } from '../hex.ts'
import { askOffchain, type OffchainOptions, type OffchainQuestion } from './offchain-gateway.ts'
import { SELECTORS } from '../../../contracts-abi/index.ts'

/** What a contract names instead of a server when the client may ask each server itself (ENSIP-21). */
const LOCAL_BATCH = 'x-batch-gateway:true'
const QUERY = SELECTORS['query((address,string[],bytes)[])']
/** One name has one question; a batch of more is a contract's doing. */
const MAX_QUESTIONS = 4

const coder = AbiCoder.defaultAbiCoder()

/**
 * Asks what a contract wants to know from outside of the chain, where it names a batch gateway as one: its questions are
 * asked here, so that no server learns of all of them. All must be answered: a question that was not is no answer of the
 * name's.
 * @throws as {@link askOffchain}
 */
export async function askOffchainOrBatch(
  question: OffchainQuestion,
  options: OffchainOptions,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (!question.urls.includes(LOCAL_BATCH)) return await askOffchain(question, options, signal)
  const questions = questionsIn(question.data)
  const answers = await Promise.all(questions.map((one) => askOffchain(one, options, signal)))
  const words = coder.encode(['bool[]', 'bytes[]'], [answers.map(() => false), answers])
  return bytesOfHex(words) ?? new Uint8Array()
}

function questionsIn(data: Hex): OffchainQuestion[] {
  try {
    if (!data.startsWith(QUERY)) throw new RangeError('It is no query of a batch gateway.')
    const words = `0x${data.slice(QUERY.length)}`
    const [queries] = coder.decode(['tuple(address,string[],bytes)[]'], words).toArray(true) as [
      [sender: Hex, urls: string[], data: Hex][],
    ]
    if (queries.length > MAX_QUESTIONS) throw new RangeError(`It has more than ${MAX_QUESTIONS} questions.`)
    return queries.map(([sender, urls, asked]) => ({
      sender: sender.toLowerCase() as Hex,
      urls: [...urls],
      data: asked,
    }))
  } catch (cause) {
    throw new HoldfastError(
      'UPSTREAM_FAILED',
      'The contract asks something outside of the chain that is no question.',
      {
        cause,
      },
    )
  }
}
