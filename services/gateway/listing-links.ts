import { encodeSegments } from './content-path.ts'
import { escapeHtml } from './page.ts'
import type { GatewayRequest } from './request.ts'

/** Where the links of a directory's page lead, which depends on the site that shows it. */
export interface Links {
  /** The directory as a person would say it. */
  title: string
  /** URL path of the directory, without a slash at its end. */
  here: string
  isRoot: boolean
  /** The way down from the root. */
  crumbs: readonly { name: string; href: string }[]
  /** Attributes of the link to an entry by its CID. */
  entryLink: (cid: string, name: string) => string
}

/** Content of a subdomain is reached by the gateway's own host; a domain with a DNSLink may have no gateway beside it. */
export function linksAt({ site, path }: GatewayRequest): Links {
  const { namespace, segments } = path
  const root = path.root.toString()
  const up = site.kind === 'subdomain' ? `//${site.host}` : ''
  const content = site.kind === 'dnslink' ? `//${site.host}` : `${up}/${namespace}/${encodeURIComponent(root)}`
  const crumbs = [root, ...segments].map((name, depth) => {
    const below = encodeSegments(segments.slice(0, depth))
    return { name, href: content + (site.kind === 'dnslink' && depth === 0 ? '/' : below) }
  })
  return {
    title: [`/${namespace}/${root}`, ...segments].join('/'),
    here: (site.kind === 'path' ? content : '') + encodeSegments(segments),
    isRoot: segments.length === 0,
    crumbs,
    entryLink(cid, name) {
      if (site.kind === 'dnslink')
        return `href="https://cid.ipfs.tech/#${cid}" target="_blank" rel="noreferrer noopener"`
      return `href="${escapeHtml(`${up}/ipfs/${cid}?filename=${twiceEncoded(name)}`)}"`
    },
  }
}

/** Kubo's pages encode this name twice, and the gateway conformance suite asks for it. */
function twiceEncoded(name: string): string {
  return encodeURIComponent(encodeURIComponent(name.toWellFormed()))
}
