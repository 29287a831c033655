import { domainRoot, readContent, readRoot, withoutPrefixes, withPath, type Namespace } from './content-uri.ts'
import { uninlineDomain } from './names.ts'
import { decodePercent } from './percent.ts'
import type { TokenUri } from './token-uri.ts'

/** A URL behind its scheme, cut as browsers cut it. */
export interface WebAddress {
  /** In the case in which it was written, without user and port: a CID of version 0 is lost in another. */
  host: string
  /** Begins with a slash, or empty. */
  path: string
  /** Query and fragment, with their `?` and `#`. */
  tail: string
}

export const WEB_SCHEME = /^https?:[\\/]*/i
/** The Kubo commands that answer with content. */
const API_READ = /^\/+api\/v0\/(?:cat|get)\/?$/
/** RFC 1035: a longer one is no host. */
const MAX_HOST = 253
/** How often a gateway may stand before the URL of a gateway. */
const MAX_NESTED = 4

export function cutAddress(text: string): WebAddress {
  const authorityEnd = indexOrEnd(text, /[\\/?#]/)
  const authority = text.slice(0, authorityEnd)
  const rest = text.slice(authorityEnd)
  const pathEnd = indexOrEnd(rest, /[?#]/)
  return {
    host: authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d*$/, ''),
    path: rest.slice(0, pathEnd).replaceAll('\\', '/'),
    tail: rest.slice(pathEnd),
  }
}

function indexOrEnd(text: string, pattern: RegExp): number {
  const index = text.search(pattern)
  return index === -1 ? text.length : index
}

/**
 * What a gateway passes on: any host with `/ipfs/{CID}` or `/ipns/{name}` at the start of the path, with the root as a
 * label before `.ipfs.` or `.ipns.`, or with the `cat` of Kubo's API. Where the host is does not matter: its content is
 * known by the CID, and it is never asked.
 * @param text a URL behind its scheme and slashes
 * @returns undefined when the address is not that of a gateway
 */
export function readGateway(text: string): TokenUri | undefined {
  let address = cutAddress(text)
  for (let nested = 0; nested < MAX_NESTED; nested++) {
    if (address.host === '') return undefined
    const found = ofSubdomain(address) ?? ofPath(address) ?? ofApi(address)
    if (found !== undefined) return viaGateway(found)
    const inner = innerUrl(address)
    if (inner === undefined) return undefined
    address = cutAddress(inner)
  }
  return undefined
}

function viaGateway(found: TokenUri): TokenUri {
  if (found.kind === 'ipns') return { ...found, kind: 'ipns-gateway' }
  if (found.kind !== 'ipfs') return found
  return {
    ...found,
    kind: 'ipfs-gateway',
    verdict: found.verdict === 'IMMUTABLE' ? 'IMMUTABLE_VIA_GATEWAY' : found.verdict,
  }
}

/** A domain before `.ipns.` can hold `.ipfs.` too: the first namespace with a root before it decides. */
function ofSubdomain({ host, path }: WebAddress): TokenUri | undefined {
  if (host.length > MAX_HOST) return undefined
  const labels = host.split('.')
  for (const [index, label] of labels.entries()) {
    const namespace = label.toLowerCase()
    if ((namespace !== 'ipfs' && namespace !== 'ipns') || index === 0 || index === labels.length - 1) continue
    const id = labels.slice(0, index).join('.')
    const root = readRoot(namespace, id) ?? (namespace === 'ipns' ? domainRoot(uninlineDomain(id)) : undefined)
    if (root !== undefined) return withPath(root, path)
  }
  return undefined
}

function ofPath({ path, tail }: WebAddress): TokenUri | undefined {
  const content = contentPath(path)
  return content && readContent(content.namespace, content.rest + tail)
}

function contentPath(path: string): { namespace: Namespace; rest: string } | undefined {
  const [prefix, namespace] = /^\/+(ipfs|ipns)\/+/.exec(path) ?? []
  if (prefix === undefined) return undefined
  return { namespace: namespace === 'ipns' ? 'ipns' : 'ipfs', rest: path.slice(prefix.length) }
}

function ofApi({ path, tail }: WebAddress): TokenUri | undefined {
  if (!API_READ.test(path)) return undefined
  const argument = /[?&]arg=([^&#]*)/.exec(tail)?.[1]
  return argument === undefined ? undefined : readContent('ipfs', decodePercent(argument))
}

/** A whole URL where the root should stand: contracts put a gateway before what has one already. */
function innerUrl({ path }: WebAddress): string | undefined {
  const content = contentPath(path)
  if (content === undefined) return undefined
  const { rest } = withoutPrefixes(content.namespace, content.rest)
  return WEB_SCHEME.test(rest) ? rest.replace(WEB_SCHEME, '') : undefined
}
