import { domainToASCII } from 'node:url'
import { HoldfastError } from '../core/errors.ts'

/** RFC 1035: 253 characters of text. */
const MAX_DNS_NAME = 253
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/

/**
 * Reads a domain name as it can have a DNSLink: at least two labels, the last of them not a number, in any case, with
 * or without the dot at the end; names outside ASCII get their `xn--` form.
 * @returns in lower case and without the dot at the end
 * @throws INVALID_NAME
 */
export function parseDnsName(text: string): string {
  const name = asciiOf(text).toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  const isName = labels.length > 1 && name.length <= MAX_DNS_NAME && labels.every((label) => LABEL.test(label))
  if (!isName || /^\d+$/.test(labels.at(-1) ?? '')) {
    throw new HoldfastError('INVALID_NAME', `${JSON.stringify(text.slice(0, 64))} is not a domain name.`)
  }
  return name
}

function asciiOf(text: string): string {
  if (text.length > MAX_DNS_NAME + 1 || !/[^\0-\x7f]/.test(text)) return text
  return domainToASCII(text)
}

/** The name as one label of a subdomain gateway: `en.wiki-x.org` becomes `en-wiki--x-org`. */
export function inlineDnsName(name: string): string {
  return name.replaceAll('-', '--').replaceAll('.', '-')
}

/** Undoes {@link inlineDnsName}; what comes out need not be a domain name. */
export function uninlineDnsName(label: string): string {
  return label.replaceAll(/--|-/g, (hyphens) => (hyphens === '--' ? '-' : '.'))
}
