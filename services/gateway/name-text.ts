import { decodeCid, DAG_PB } from '../core/cid.ts'
import { MAX_CID_TEXT } from '../core/limits.ts'
import { parseDnsName } from '../naming/dns-name.ts'
import { nameOfMultihash, parseIpnsName, type IpnsName } from '../naming/ipns-name.ts'

/** What DNS allows one label of a name to have (RFC 1034, section 3.1). */
export const MAX_LABEL_CHARACTERS = 63

/**
 * The key that a text names, in any form of an IPNS name, and also as a CID with the codec DAG-PB, as keys were written
 * once. Undefined when the text names no key.
 */
export function parseKey(text: string): IpnsName | undefined {
  if (text.length > MAX_CID_TEXT) return undefined
  try {
    return parseIpnsName(text)
  } catch {
    return parseOldKey(text)
  }
}

function parseOldKey(text: string): IpnsName | undefined {
  try {
    const cid = decodeCid(text)
    return cid.code === DAG_PB ? nameOfMultihash(cid.multihash) : undefined
  } catch {
    return undefined
  }
}

/** The domain that a text names, in its canonical form; undefined when it names none. */
export function parseDomain(text: string): string | undefined {
  try {
    return parseDnsName(text)
  } catch {
    return undefined
  }
}
