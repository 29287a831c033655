import { classifyTokenUri } from '../token-uri/classify.ts'
import { substituteId } from '../token-uri/token-id.ts'
import type { TokenUri } from '../token-uri/token-uri.ts'
import type { AssetNames } from './asset-names.ts'
import { error, warning, type BuildProblem } from './problem.ts'

export interface LinkContext {
  /** The metadata that has the link, and where in it. */
  file: string
  pointer: string
  /** Of ERC-1155: takes the place of `{id}`. */
  token: bigint | undefined
  assets: AssetNames
  assetsCid: string
}

/** A link to a file of the folder, with the URI that replaces it; or one that stays as it is. */
export type ReadLink =
  | { path: string; uri: string; problem?: undefined }
  | { uri?: undefined; problem: BuildProblem | undefined }

/** `ipfs://NewUriToReplace/7.png`: what generators write for a CID that they do not know yet. */
const PLACEHOLDER = /^(?:ipfs:\/\/|\/ipfs\/)[^/]+\/(.+)$/i
const WITH_SCHEME = /^[a-z][a-z0-9+.-]+:/i

/** Where a link of metadata leads: to a file of the folder, to content that stays where it is, or astray. */
export function readLink(value: string, context: LinkContext): ReadLink {
  const { token, file } = context
  const text = value.trim()
  const names = classifyTokenUri(text, token)
  const local = localPath(text, names)
  if (local === undefined) return { problem: problemOf(text, names, context) }
  const asked = token === undefined ? local : substituteId(local, token)
  const found = context.assets.find(asked, file.slice(0, file.lastIndexOf('/') + 1))
  if (found !== undefined && 'path' in found) return { path: found.path, uri: uriOf(found.path, text, context) }
  if (found === undefined && names.kind !== 'invalid') return { problem: problemOf(text, names, context) }
  const at = `${context.pointer} is ${JSON.stringify(value)}`
  if (found === undefined) return { problem: error('FILE_MISSING', file, `${at}, and there is no such file.`) }
  const message = `${at}, but the file is ${found.alike}, which is another name; write one of them like the other.`
  return { problem: error('CASE_DIFFERS', file, message) }
}

/** The part of a link that can name a file; undefined when it names something else. */
function localPath(text: string, { kind }: TokenUri): string | undefined {
  if (kind === 'invalid') {
    const behind = PLACEHOLDER.exec(text)?.[1]
    if (behind !== undefined) return behind
  }
  if (text === '' || kind === 'data' || kind === 'inline' || WITH_SCHEME.test(text) || text.startsWith('//'))
    return undefined
  return kind === 'ipfs' || kind === 'ipns' || kind === 'ipfs-gateway' || kind === 'ipns-gateway' ? undefined : text
}

/** `{id}` stays where it was: one text serves all tokens then. */
function uriOf(path: string, link: string, { assets, assetsCid, token }: LinkContext): string {
  const encoded = assets.nameOf(path).split('/').map(encodeURIComponent).join('/')
  const isTemplate = token !== undefined && /\{id\}/i.test(link)
  const name = isTemplate ? encoded.replaceAll(substituteId('{id}', token), '{id}') : encoded
  return `ipfs://${assetsCid}/${name}`
}

/** Undefined when nothing is wrong with it. */
function problemOf(text: string, names: TokenUri, { file, pointer }: LinkContext): BuildProblem | undefined {
  const at = `${pointer} is ${JSON.stringify(text.length > 128 ? `${text.slice(0, 128)}…` : text)}`
  const { verdict, cid, path } = names
  if (verdict === 'IMMUTABLE' || verdict === 'ON_CHAIN' || verdict === 'EMPTY') return undefined
  if (verdict === 'IMMUTABLE_VIA_GATEWAY') {
    const uri = ['ipfs:/', cid, path].filter((part) => part !== '').join('/')
    return warning('GATEWAY_LINK', file, `${at}, which one server answers for; write ${uri}.`)
  }
  if (verdict === 'MUTABLE') {
    return warning('MUTABLE_LINK', file, `${at}: whoever has the name can change what it leads to.`)
  }
  if (verdict === 'OTHER_NETWORK' || verdict === 'INDIRECT') {
    return warning('OTHER_NETWORK', file, `${at}, which is not on IPFS; it is not kept here.`)
  }
  if (verdict === 'CENTRALISED') {
    const message = `${at}, a server's address; put the file into the folder, and write its name.`
    return error('SERVER_LINK', file, message)
  }
  return error('BAD_LINK', file, `${at}, which leads nowhere; write the name of a file of this folder.`)
}
