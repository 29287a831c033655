import { domainToUnicode } from 'node:url'
import { dnsEncode, ensNormalize } from 'ethers'
import { HoldfastError } from '../../core/errors.ts'

/** A name is at most 255 bytes on the wire; each label can cost a call. */
const MAX_LABELS = 16
const MAX_CHARACTERS = 255

/**
 * Reads a name of ENS in any spelling; labels in the `xn--` form of domains, as browsers write hosts, stand for their
 * Unicode.
 * @returns normalised (ENSIP-15), which need not be ASCII
 * @throws INVALID_NAME
 */
export function parseEnsName(text: string): string {
  try {
    if (text.length > MAX_CHARACTERS) throw new RangeError('It is too long.')
    const name = ensNormalize(/(^|\.)xn--/i.test(text) ? domainToUnicode(text) : text)
    const labels = name.split('.')
    if (labels.length < 2 || labels.length > MAX_LABELS || labels.includes('')) {
      throw new RangeError('It has empty, too few or too many labels.')
    }
    dnsEncode(name)
    return name
  } catch (cause) {
    throw new HoldfastError('INVALID_NAME', `${JSON.stringify(text.slice(0, 64))} is not a name of ENS.`, { cause })
  }
}
