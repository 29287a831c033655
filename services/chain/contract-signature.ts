import { SELECTORS } from '../../contracts-abi/index.ts'
import { callAt, type CallAt } from './call-at.ts'
import { wordOf, type Hex } from './hex.ts'

const IS_VALID = SELECTORS['isValidSignature(bytes32,bytes)']

/** Whether a contract takes the signature for its own (ERC-1271), by one call. @throws RpcFailure */
export async function isSignedByContract(
  contract: Hex,
  { digest, signature }: { digest: Uint8Array; signature: Hex },
  at: CallAt,
): Promise<boolean> {
  const bytes = signature.slice(2)
  const padded = bytes.padEnd(Math.ceil(bytes.length / 64) * 64, '0')
  const words = Buffer.from(digest).toString('hex') + wordOf(64) + wordOf(bytes.length / 2) + padded
  const { returned } = await callAt(contract, `${IS_VALID}${words}`, at)
  // "MUST return the bytes4 magic value 0x1626ba7e when function passes"
  return returned?.length === 66 && returned.startsWith(IS_VALID) && /^0+$/.test(returned.slice(10))
}
