import { domainRoot, readContent, withoutPrefixes, withPath, type Namespace } from './content-uri.ts'
import { readGateway, WEB_SCHEME } from './gateway.ts'
import { isInline, readInline } from './inline.ts'
import { decodePercent } from './percent.ts'
import { readOther } from './schemes.ts'
import { substituteId } from './token-id.ts'
import { INVALID, plainUri, type TokenUri } from './token-uri.ts'
import { trimInvisible } from './trim.ts'
import { readWeb } from './web.ts'

/** A URI that does not hold its content, in characters. No gateway takes a longer one. */
export const MAX_LINK = 16_384

/** `ipfs:`, `/ipfs/` and the like, with what some programs put before. */
const NATIVE = /^(?:web\+|dweb:\/*|fs:\/*)?\/*(ipfs|ipns)(?::|\/|$)/i
/** A scheme whose colon was encoded: so was all of the URI. */
const ENCODED = /^(?:ipfs|ipns|https?)%3a/i
const SCHEME = /^([a-z][a-z0-9+-]+):(?=\S)/i
/** A gateway's address without a scheme. A host without a dot is a path. */
const BARE_GATEWAY = /^(?:[\w-]+\.(?:[\w-]+\.)*[\w-]+|localhost)(?::\d{1,5})?(?:\/|$)/i
const ENS = /^(?:ens:\/*([^/?#]+)|([^\s/?#:@\\]+\.eth(?=[/?#]|$)))([^?#]*)/i

/**
 * Says what a URI in the wild names, and how lasting it is by its form alone (docs/uri-classification.md). Reads text and
 * nothing else: no host that it names is ever contacted. Never throws; its time grows with the length of the text at most,
 * and longer texts than a token can answer are not read.
 * @param tokenId of ERC-1155: its 64 digits of hex take the place of `{id}`
 */
export function classifyTokenUri(uri: string | null, tokenId?: bigint): TokenUri {
  const text = trimInvisible(uri ?? '')
  if (text === '') return plainUri('empty', 'EMPTY')
  if (isInline(text)) return readInline(text)
  if (text.length > MAX_LINK) return INVALID
  // Browsers drop these wherever they stand.
  const line = text.replaceAll(/[\t\n\r]+/g, '')
  const link = tokenId === undefined ? line : substituteId(line, tokenId)
  if (link.length > MAX_LINK) return INVALID
  return readLink(ENCODED.test(link) ? decodePercent(link) : link)
}

function readLink(link: string): TokenUri {
  const native = NATIVE.exec(link)
  if (native !== null) {
    const namespace = native[1]?.toLowerCase() === 'ipns' ? 'ipns' : 'ipfs'
    return readNative(namespace, link.slice(native[0].length))
  }
  if (WEB_SCHEME.test(link)) return readWeb(link)
  const ens = readEns(link)
  if (ens !== undefined) return ens
  const scheme = SCHEME.exec(link)?.[1]?.toLowerCase()
  return scheme === undefined || scheme === 'localhost' ? readBare(link) : readOther(scheme, link)
}

function readNative(namespace: Namespace, text: string): TokenUri {
  const content = readContent(namespace, text)
  if (content !== undefined) return content
  const { rest } = withoutPrefixes(namespace, text)
  const inner = WEB_SCHEME.test(rest) ? rest.replace(WEB_SCHEME, '') : BARE_GATEWAY.test(rest) ? rest : undefined
  return (inner === undefined ? undefined : readGateway(inner)) ?? INVALID
}

function readEns(link: string): TokenUri | undefined {
  const [, afterScheme, bare, path = ''] = ENS.exec(link) ?? []
  const name = afterScheme ?? bare
  if (name === undefined) return undefined
  const root = domainRoot(decodePercent(name))
  return root === undefined ? INVALID : withPath({ ...root, kind: 'ens' }, path)
}

/** Text without a scheme: a CID or key with its path, an address that begins with `//`, or a gateway's. */
function readBare(link: string): TokenUri {
  const content = readContent('ipfs', link) ?? readContent('ipns', link)
  if (content?.kind === 'ipfs' || content?.kind === 'ipns') return content
  if (link.startsWith('//')) return readWeb(link)
  return (BARE_GATEWAY.test(link) ? readGateway(link) : undefined) ?? INVALID
}
