import type { IncomingHttpHeaders } from 'node:http'
import { base32 } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import type { CID } from 'multiformats/cid'
import type { Abortable } from '../core/block-source.ts'
import { decodeCid, toV1 } from '../core/cid.ts'
import { HoldfastError } from '../core/errors.ts'
import { inlineDnsName, uninlineDnsName } from '../naming/dns-name.ts'
import type { Answer } from './answer.ts'
import { decodePath, invalidPath } from './content-path.ts'
import { redirectTo } from './headers.ts'
import { isAddress, withoutPort, type HostTable, type KnownHost } from './hosts.ts'
import { ensLabel, ensOfLabel, MAX_LABEL_CHARACTERS, parseDomain, parseEns, parseKey } from './name-text.ts'
import type { Names } from './names.ts'
import type { Site } from './site.ts'
import type { TrustedProxies } from './trusted-proxies.ts'

/** A request as it came in. */
export interface RequestHead {
  /** In origin form (`/path?query`) or absolute form (`http://host/path?query`), as proxies are asked. */
  url: string
  headers: IncomingHttpHeaders
  remoteAddress: string | undefined
}

/** Where a request's content lies. */
export interface Location {
  site: Site
  /** Path of the URL, as sent. */
  urlPath: string
  /** As sent, with its question mark; empty when there was none. */
  rawQuery: string
  /** The content path, `/ipfs/…`, `/ipns/…` or `/ens/…`, percent-encoded as sent: for a site with its own host, its root and `urlPath`. */
  rawPath: string
}

export interface LocateOptions extends Abortable {
  hosts: HostTable
  proxies: TrustedProxies
  names: Names
  /** Whether any host may be asked for in absolute form: the proxy mode of the subdomain gateway's specification. */
  isProxy: boolean
}

const MAX_HOST_CHARACTERS = 512

/**
 * Finds the content that a request means by its host and path, or the URL at which it has an origin of its own.
 * Nothing of the content is read.
 * https://specs.ipfs.tech/http-gateways/subdomain-gateway/ and /dnslink-gateway/
 * @throws BAD_REQUEST, NOT_FOUND, INVALID_CID
 */
export async function locate(head: RequestHead, options: LocateOptions): Promise<Location | { redirect: Answer }> {
  const { host, scheme, urlPath, rawQuery } = target(head, options)
  const known = options.hosts.find(host)
  if (known === undefined) return await onUnknownHost({ host, scheme, urlPath, rawQuery }, options)
  const site: Site = { kind: 'path', scheme, host: known.host, class: known.class }
  const { content } = known
  if (content !== undefined) return onSubdomain({ site, urlPath, rawQuery }, content)
  if (known.class !== 'subdomain') return { site, urlPath, rawQuery, rawPath: urlPath }
  return await onGatewayHost({ site, urlPath, rawQuery }, options)
}

interface Target {
  host: string
  scheme: 'http' | 'https'
  urlPath: string
  rawQuery: string
}

function target({ url, headers, remoteAddress }: RequestHead, { proxies, hosts, isProxy }: LocateOptions): Target {
  const forwarded = proxies.forwarded(remoteAddress, headers)
  const absolute = /^(https?):\/\/([^/?#]*)([^#]*)/i.exec(url)
  const asked = absolute?.[2] ?? headers.host ?? ''
  if (absolute !== null && !isProxy && hosts.find(asked) === undefined) {
    throw new HoldfastError('BAD_REQUEST', 'This gateway is no proxy: its proxy mode is off.')
  }
  const host = forwarded.host ?? asked
  if (host.length > MAX_HOST_CHARACTERS || !/^[\w.:[\]-]*$/.test(host)) {
    throw new HoldfastError('BAD_REQUEST', 'The host of the request is no domain and no address.')
  }
  const scheme = forwarded.scheme ?? (absolute?.[1]?.toLowerCase() === 'https' ? 'https' : 'http')
  const [urlPath, rawQuery] = splitQuery(absolute?.[3] ?? url)
  return { host, scheme, urlPath: urlPath === '' ? '/' : urlPath, rawQuery }
}

function splitQuery(url: string): [path: string, query: string] {
  const mark = url.indexOf('?')
  return mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark)]
}

/** A domain with a DNSLink is a site; whatever else is asked for under a host that we do not know is a path gateway. */
async function onUnknownHost({ host, scheme, ...rest }: Target, options: LocateOptions): Promise<Location> {
  const domain = await linkedDomain(host, rest.urlPath, options)
  if (domain !== undefined) {
    const site: Site = { kind: 'dnslink', scheme, host, class: 'subdomain' }
    return { site, ...rest, rawPath: `/ipns/${encodeURIComponent(domain)}${rest.urlPath}` }
  }
  return { site: { kind: 'path', scheme, host, class: 'path' }, ...rest, rawPath: rest.urlPath }
}

/** The domain of a host when it has a DNSLink. While DNS does not answer, content paths are served for what they are. */
async function linkedDomain(host: string, urlPath: string, options: LocateOptions): Promise<string | undefined> {
  const domain = isAddress(host) ? undefined : parseDomain(withoutPort(host))
  if (domain === undefined) return undefined
  try {
    return (await options.names.isLinked(domain, options)) ? domain : undefined
  } catch (error) {
    if (!CONTENT_PATH.test(urlPath)) throw error
    return undefined
  }
}

const CONTENT_PATH = /^\/(?:ip[fn]s|ens)(\/|$)/

type Asked = Omit<Location, 'rawPath'>

function onSubdomain(
  asked: Asked,
  { namespace, id }: NonNullable<KnownHost['content']>,
): Location | { redirect: Answer } {
  if (asked.site.class !== 'subdomain') throw new HoldfastError('NOT_FOUND', 'This host has no content on subdomains.')
  const name = namespace === 'ipfs' ? contentLabel(id) : namespace === 'ens' ? hostEns(id) : nameLabel(id)
  if (name.label !== id.toLowerCase()) return { redirect: toSubdomain(asked, namespace, name.label, asked.urlPath) }
  const site: Site = { ...asked.site, kind: 'subdomain' }
  return { ...asked, site, rawPath: `/${namespace}/${name.text}${asked.urlPath}` }
}

interface Label {
  /** What stands in the host. */
  label: string
  /** What stands in the content path. */
  text: string
}

/** The label of the content that a subdomain names. A browser has made its letters small, which a CIDv0 does not survive. */
function contentLabel(id: string): Label {
  const cid = parseLabel(id.toLowerCase()) ?? decodeRoot(id)
  const asWritten = id.toLowerCase()
  const label = cid.version === 1 && asWritten.length <= MAX_LABEL_CHARACTERS ? asWritten : labelOf(cid)
  return { label, text: label }
}

function parseLabel(label: string): CID | undefined {
  try {
    return decodeCid(label)
  } catch {
    return undefined
  }
}

function nameLabel(id: string): Label {
  const key = parseKey(id.toLowerCase()) ?? parseKey(id)
  if (key !== undefined) return { label: key.text, text: key.text }
  const label = id.toLowerCase()
  if (label.includes('.') || !label.includes('-')) return { label, text: label }
  return { label, text: uninlineDnsName(label) }
}

/** A name that is written with dots is served as it is: whoever has a certificate for it need not be sent elsewhere. */
function hostEns(id: string): Label {
  const name = ensOfLabel(id.toLowerCase())
  if (name === undefined)
    throw new HoldfastError('BAD_REQUEST', 'What stands before .ens. in the host is no name of ENS.')
  return { label: id.toLowerCase(), text: encodeURIComponent(name) }
}

/** The gateway's own host: content is sent on to the origin that it has to itself. */
async function onGatewayHost(asked: Asked, options: LocateOptions): Promise<Location | { redirect: Answer }> {
  const { urlPath, rawQuery } = asked
  const match = /^\/(ipfs|ipns|ens)(?:\/([^/]*)(.*))?$/s.exec(urlPath)
  if (match === null) return await onGatewayRoot(asked, options)
  const [, namespace = '', root = '', rest = ''] = match
  const uri = new URLSearchParams(rawQuery).get('uri')
  if (uri !== null && root === '') return { redirect: redirectTo(301, contentPathOf(uri)) }
  if (namespace === 'ipfs') {
    return { redirect: toSubdomain(asked, namespace, labelOf(decodeRoot(decodePath(root), urlPath)), rest) }
  }
  const name = decodePath(root)
  const isEns = namespace === 'ens' || isInternational(name)
  const label = isEns ? inlinedEns(name, urlPath) : inlined(name, urlPath)
  return { redirect: toSubdomain(asked, isEns ? 'ens' : namespace, label, rest) }
}

/** Other paths belong to the domain's own DNSLink, when it has one. */
async function onGatewayRoot(asked: Asked, options: LocateOptions): Promise<Location> {
  const domain = await linkedDomain(asked.site.host, asked.urlPath, options)
  if (domain !== undefined) {
    return {
      ...asked,
      site: { ...asked.site, kind: 'dnslink' },
      rawPath: `/ipns/${encodeURIComponent(domain)}${asked.urlPath}`,
    }
  }
  // An encoding of `/ipfs/` must not open a way around the origins.
  if (CONTENT_PATH.test(decodePath(asked.urlPath))) {
    throw new HoldfastError('NOT_FOUND', 'Content is at /ipfs/ followed by its CID.')
  }
  return { ...asked, rawPath: asked.urlPath }
}

function inlined(name: string, urlPath: string): string {
  const key = parseKey(name)
  if (key !== undefined) return checkedLabel(key.text)
  const domain = parseDomain(name) ?? parseDomain(uninlineDnsName(name))
  if (domain !== undefined) return checkedLabel(inlineDnsName(domain))
  throw invalidPath(decodePath(urlPath), new HoldfastError('BAD_REQUEST', 'it names neither a key nor a domain.'))
}

/** Whether it is a name of ENS that a host cannot spell as it spells domains. */
function isInternational(name: string): boolean {
  return /[^\0-\x7f]/.test(name) && parseDomain(name)?.endsWith('.eth') === true
}

function inlinedEns(text: string, urlPath: string): string {
  const name = parseEns(text)
  const label = name === undefined ? undefined : ensLabel(name)
  if (label !== undefined) return label
  const reason = name === undefined ? 'it is not a name of ENS.' : 'the name does not fit into one label of a host.'
  throw invalidPath(decodePath(urlPath), new HoldfastError('BAD_REQUEST', reason))
}

/** A CID as one DNS label: in base 32, or in base 36 when that is too long. */
function labelOf(cid: CID): string {
  const v1 = toV1(cid)
  const label = v1.toString(base32)
  return checkedLabel(label.length <= MAX_LABEL_CHARACTERS ? label : v1.toString(base36))
}

function checkedLabel(label: string): string {
  if (label.length <= MAX_LABEL_CHARACTERS) return label
  throw new HoldfastError(
    'BAD_REQUEST',
    `CID incompatible with DNS label length limit of ${MAX_LABEL_CHARACTERS}: ${label}`,
  )
}

function decodeRoot(text: string, path = `/ipfs/${text}`): CID {
  try {
    return decodeCid(text)
  } catch (cause) {
    throw invalidPath(path, cause)
  }
}

/** `ipfs://{cid}/…`, `ipns://…` and `ens://…`, as a browser's protocol handler passes them on, as a path of this gateway. */
function contentPathOf(uri: string): string {
  const match = /^(ipfs|ipns|ens):\/\/([^/?#]+)([^?#]*)(\?[^#]*)?$/i.exec(uri)
  if (match === null) throw new HoldfastError('BAD_REQUEST', 'uri is ipfs://, ipns:// or ens:// and a content path.')
  const [, namespace = '', root = '', path = '', query = ''] = match
  return `/${namespace.toLowerCase()}/${root}${path}${query}`
}

function toSubdomain({ site, rawQuery }: Asked, namespace: string, label: string, rest: string): Answer {
  const path = rest === '' ? '/' : rest
  return redirectTo(301, `${site.scheme}://${label}.${namespace}.${site.host}${path}${rawQuery}`)
}
