import { AbiCoder } from 'ethers'
import { selectorOf } from './contracts-abi.ts'

const coder = AbiCoder.defaultAbiCoder()

/** The call of a function with its arguments. */
export function callOf(signature: string, ...values: unknown[]): string {
  return selectorOf(signature) + wordsOf(signature.slice(signature.indexOf('(') + 1, -1), ...values)
}

/** Arguments in the words of the ABI, as a constructor takes them: hex without `0x`. @param types as `uint256,string` */
export function wordsOf(types: string, ...values: unknown[]): string {
  return coder.encode(types === '' ? [] : types.split(','), values).slice(2)
}
