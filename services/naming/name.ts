import { parseEnsName } from '../chain/ens/ens-name.ts'
import { parseDnsName } from './dns-name.ts'
import { parseIpnsName, type IpnsName } from './ipns-name.ts'

/**
 * What leads to content: the name of a key, a domain name with a DNSLink, or a name of ENS. After `/ipns/` stands any of
 * them; names of ENS are told from domains by their end, `.eth`. Others of ENS are written `ens://…`.
 */
export type Name =
  | { kind: 'key'; key: IpnsName }
  | { kind: 'dns'; domain: string }
  /** Normalised (ENSIP-15), which need not be ASCII. */
  | { kind: 'ens'; name: string }

const ENS_SCHEME = 'ens://'

/** @throws INVALID_NAME when the text is none of them; only names of keys have no dots */
export function parseName(text: string): Name {
  if (text.toLowerCase().startsWith(ENS_SCHEME)) {
    return { kind: 'ens', name: parseEnsName(text.slice(ENS_SCHEME.length)) }
  }
  const ens = /^(.+\.eth)\.?$/i.exec(text)?.[1]
  if (ens !== undefined) return { kind: 'ens', name: parseEnsName(ens) }
  if (text.includes('.')) return { kind: 'dns', domain: parseDnsName(text) }
  return { kind: 'key', key: parseIpnsName(text) }
}

/** The canonical text of a name: what a path gateway redirects to, and what caches are keyed by. */
export function nameText(name: Name): string {
  if (name.kind === 'key') return name.key.text
  if (name.kind === 'dns') return name.domain
  return name.name.endsWith('.eth') ? name.name : `${ENS_SCHEME}${name.name}`
}
