import { LIBP2P_KEY } from '../cid.ts'
import { cidText, readCid, verdictOfCid } from './cid-text.ts'
import { readPath } from './content-path.ts'
import { keyName, readDomain, readKey, readPeerId } from './names.ts'
import { decodePercent } from './percent.ts'
import type { TokenUri } from './token-uri.ts'

export type Namespace = 'ipfs' | 'ipns'

/** What a root names: content, a key, or a domain. */
type Root = Pick<TokenUri, 'kind' | 'verdict' | 'cid' | 'name'>

/** A namespace written once more where a root should stand: contracts put `ipfs://` before what has it already. */
const REPEATED = /^\/*(ipfs|ipns)(?::\/*|\/)/i

/**
 * Reads `{root}[/path][?query][#fragment]` of a namespace; the namespace may be repeated before the root, and then the
 * last one counts.
 * @returns undefined when there is no root
 */
export function readContent(namespace: Namespace, text: string): TokenUri | undefined {
  const { namespace: last, rest } = withoutPrefixes(namespace, text)
  const end = rest.search(/[?#]/)
  const whole = end === -1 ? rest : rest.slice(0, end)
  const slash = whole.indexOf('/')
  const root = readRoot(last, decodePercent(slash === -1 ? whole : whole.slice(0, slash)))
  if (root === undefined) return undefined
  const read = withPath(root, slash === -1 ? '' : whole.slice(slash + 1))
  if (slash === -1 || rest[end] !== '#') return read
  const { path, problem } = readPath(rest.slice(slash + 1))
  return problem === undefined ? { ...read, literalPath: path } : read
}

/** What stands behind repeated namespaces, and the last of them. */
export function withoutPrefixes(first: Namespace, text: string): { namespace: Namespace; rest: string } {
  let [namespace, rest] = [first, text]
  for (let match = REPEATED.exec(rest); match !== null; match = REPEATED.exec(rest)) {
    namespace = match[1]?.toLowerCase() === 'ipns' ? 'ipns' : 'ipfs'
    rest = rest.slice(match[0].length)
  }
  return { namespace, rest: rest.replace(/^\/+/, '') }
}

/** A root and a raw path below it, of which the worse decides. */
export function withPath(root: Root, rawPath: string): TokenUri {
  const { path, problem } = readPath(rawPath)
  const isUsable = root.verdict !== 'UNSAFE' && root.verdict !== 'UNSUPPORTED'
  return { ...root, path, ...(problem !== undefined && isUsable && { verdict: problem }) }
}

/** What a root names, by its own codec and not by its namespace: under `ipfs://` too, a key can be changed. */
export function readRoot(namespace: Namespace, text: string): Root | undefined {
  if (namespace === 'ipns') return text.includes('.') ? domainRoot(text) : keyRoot(readKey(text))
  const cid = readCid(text)
  if (cid === undefined) return keyRoot(readPeerId(text))
  if (cid.code === LIBP2P_KEY) return keyRoot(keyName(cid.multihash))
  return { kind: 'ipfs', verdict: verdictOfCid(cid), cid: cidText(cid) }
}

function keyRoot(name: string | undefined): Root | undefined {
  return name === undefined ? undefined : { kind: 'ipns', verdict: 'MUTABLE', cid: null, name }
}

export function domainRoot(text: string): Root | undefined {
  const domain = readDomain(text)
  return domain && { kind: domain.kind, verdict: 'MUTABLE', cid: null, name: domain.name }
}
