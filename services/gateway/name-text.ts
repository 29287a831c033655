import { domainToASCII, domainToUnicode } from 'node:url'
import { decodeCid, DAG_PB } from '../core/cid.ts'
import { MAX_CID_TEXT } from '../core/limits.ts'
import { inlineDnsName, uninlineDnsName } from '../naming/dns-name.ts'
import { nameOfMultihash, parseIpnsName, type IpnsName } from '../naming/ipns-name.ts'
import { parseName, type Name } from '../naming/name.ts'

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

/** The domain, or the name of ENS that ends in `.eth`, in its canonical form; undefined when the text names none. */
export function parseDomain(text: string): string | undefined {
  if (!text.includes('.')) return undefined
  const name = nameIn(text)
  return name?.kind === 'dns' ? name.domain : ensIn(name)
}

/** The name of ENS that a text is, in its canonical form, whatever it ends in; undefined when it is none. */
export function parseEns(text: string): string | undefined {
  return ensIn(nameIn(`ens://${text}`))
}

function nameIn(text: string): Name | undefined {
  try {
    return parseName(text)
  } catch {
    return undefined
  }
}

function ensIn(name: Name | undefined): string | undefined {
  return name?.kind === 'ens' ? name.name : undefined
}

/**
 * A name of ENS as one label of a host: in the form of DNSLink, and in that of domains where it is not ASCII. Undefined
 * when no label leads back to it.
 */
export function ensLabel(name: string): string | undefined {
  const label = domainToASCII(inlineDnsName(name))
  return label !== '' && label.length <= MAX_LABEL_CHARACTERS && ensOfLabel(label) === name ? label : undefined
}

/** The name of ENS that a host has before `.ens.`: as one label, or as it is. */
export function ensOfLabel(text: string): string | undefined {
  if (text.includes('.')) return parseEns(text)
  return parseEns(uninlineDnsName(text.startsWith('xn--') ? domainToUnicode(text) : text))
}
