/**
 * The rules of a site's `_redirects` file.
 * https://specs.ipfs.tech/http-gateways/web-redirects-file/
 */

type RedirectStatus = 301 | 302 | 303 | 307 | 308
export type RuleStatus = 200 | RedirectStatus | 404 | 410 | 451

export interface RedirectRule {
  /** Segments of the path that the rule is for: text, `:placeholder`, and last perhaps `*`. */
  from: readonly string[]
  /** A path of the site, or a URL. `:placeholder` and `:splat` stand for what was matched. */
  to: string
  status: RuleStatus
}

export const MAX_REDIRECTS_BYTES = 65_536

const STATUSES: readonly number[] = [200, 301, 302, 303, 307, 308, 404, 410, 451] satisfies RuleStatus[]
const SPLAT = 'splat'

/** @throws Error with a sentence for the site's author */
export function parseRedirects(text: string): RedirectRule[] {
  const rules: RedirectRule[] = []
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    rules.push(parseRule(trimmed))
  }
  return rules
}

function parseRule(line: string): RedirectRule {
  const [from = '', to, status = '301', ...more] = line.split(/\s+/)
  if (to === undefined) throw new Error(`the rule for ${JSON.stringify(from)} has no target`)
  if (more.length > 0) throw new Error("a rule has the form 'from to [status]'")
  if (status.endsWith('!')) throw new Error('forced redirects (or "shadowing") are not supported')
  const code = Number(status)
  if (!STATUSES.includes(code)) throw new Error(`status code ${status} is not supported`)
  if (code < 300 || code >= 400) onlyOnSite(to, code)
  else if (!/^(\/|(https?|ipfs|ipns):\/\/)/i.test(to))
    throw new Error(`the target ${JSON.stringify(to)} is no path and no URL`)
  return { from: parseFrom(from), to, status: code as RuleStatus }
}

/** Content is only taken from the site itself. */
function onlyOnSite(to: string, status: number): void {
  if (!to.startsWith('/')) throw new Error(`the target of status ${status} is not on the site: ${JSON.stringify(to)}`)
}

function parseFrom(from: string): string[] {
  if (!from.startsWith('/')) throw new Error(`the path ${JSON.stringify(from)} does not begin with a slash`)
  const segments = segmentsOf(from)
  const names = new Set<string>()
  for (const [index, segment] of segments.entries()) {
    if (segment.includes('*') && (segment !== '*' || index < segments.length - 1)) {
      throw new Error(`an asterisk can only be the last segment of ${JSON.stringify(from)}`)
    }
    if (!segment.startsWith(':')) continue
    if (names.has(segment)) throw new Error(`the placeholder ${segment} stands twice in ${JSON.stringify(from)}`)
    names.add(segment)
  }
  return segments
}

/** The first rule for the path, and its target with everything filled in; undefined when there is none. */
export function matchRedirect(
  rules: readonly RedirectRule[],
  segments: readonly string[],
): { to: string; status: RuleStatus } | undefined {
  for (const { from, to, status } of rules) {
    const found = match(from, segments)
    if (found !== undefined) return { to: fill(to, found), status }
  }
  return undefined
}

function match(from: readonly string[], segments: readonly string[]): Map<string, string> | undefined {
  const found = new Map<string, string>()
  for (const [index, pattern] of from.entries()) {
    if (pattern === '*') return found.set(SPLAT, segments.slice(index).map(encodeURIComponent).join('/'))
    const segment = segments[index]
    if (segment === undefined) return undefined
    if (pattern.startsWith(':')) found.set(pattern.slice(1), encodeURIComponent(segment))
    else if (decoded(pattern) !== segment) return undefined
  }
  return segments.length === from.length ? found : undefined
}

/** Fills in all at once: what a visitor wrote into the path is no placeholder. */
function fill(to: string, found: ReadonlyMap<string, string>): string {
  return to.replaceAll(/:([A-Za-z_][\w-]*)/g, (text, name: string) => found.get(name) ?? (name === SPLAT ? '' : text))
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
