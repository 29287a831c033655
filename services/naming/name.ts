import { parseDnsName } from './dns-name.ts'
import { parseIpnsName, type IpnsName } from './ipns-name.ts'

/** What may stand after `/ipns/`: the name of a key, or a domain name with a DNSLink. */
export type Name = { kind: 'key'; key: IpnsName } | { kind: 'dns'; domain: string }

/** @throws INVALID_NAME when the text is neither; only domain names have dots */
export function parseName(text: string): Name {
  if (text.includes('.')) return { kind: 'dns', domain: parseDnsName(text) }
  return { kind: 'key', key: parseIpnsName(text) }
}

/** The canonical text of a name: what a path gateway redirects to, and what caches are keyed by. */
export function nameText(name: Name): string {
  return name.kind === 'key' ? name.key.text : name.domain
}
