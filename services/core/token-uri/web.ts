import { cutAddress, readGateway, WEB_SCHEME } from './gateway.ts'
import { domainRoot, withPath } from './content-uri.ts'
import { isPublicHost } from './public-host.ts'
import { INVALID, plainUri, type TokenUri } from './token-uri.ts'

/** Hosts that serve any ENS name below them. */
const ENS_GATEWAY = /^(.+\.eth)\.(?:limo|link|ac|sucks)$/i
const ARWEAVE_GATEWAY = /(?:^|\.)(?:arweave\.(?:net|dev)|ar-io\.(?:net|dev)|g8way\.io|permagate\.io|irys\.xyz)$/
/** A transaction, or below a gateway's domain an ArNS name. */
const ARWEAVE_ID = /^\/+(?:raw\/)?[\w-]{43}(?:\/|$)/
const SWARM_PATH = /^\/+bzz\/(?:[0-9a-f]{64}|[0-9a-f]{128})(?:\/|$)/i

/** Reads a URL of http or https, or one without a scheme that begins with `//`. */
export function readWeb(text: string): TokenUri {
  const rest = text.replace(WEB_SCHEME, '').replace(/^[\\/]+/, '')
  return readGateway(rest) ?? readServer(rest)
}

function readServer(rest: string): TokenUri {
  const url = URL.parse(`https://${rest}`)
  if (url === null) return INVALID
  const { host, path } = cutAddress(rest)
  const ens = ENS_GATEWAY.exec(host)?.[1] ?? (/\.eth$/i.test(host) ? host : undefined)
  const root = ens === undefined ? undefined : domainRoot(ens)
  if (root !== undefined) return withPath(root, path)
  if (url.username !== '' || url.password !== '' || !isPublicHost(url.hostname)) return plainUri('http', 'UNSAFE')
  if (isArweave(url.hostname, path)) return plainUri('arweave', 'OTHER_NETWORK')
  return SWARM_PATH.test(path) ? plainUri('other', 'OTHER_NETWORK') : plainUri('http', 'CENTRALISED')
}

function isArweave(hostname: string, path: string): boolean {
  if (!ARWEAVE_GATEWAY.test(hostname)) return false
  const isSubdomain = hostname.endsWith('.arweave.net') && !hostname.startsWith('www.')
  return isSubdomain || ARWEAVE_ID.test(path)
}
