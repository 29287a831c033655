import type { ApiClient } from './client.ts'
import { durationFlag, none, only, textFlag, type Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { everyPage } from './every-page.ts'
import { note, print, table } from './output.ts'
import { toSecond } from './pin-view.ts'
import {
  publishVersion,
  showLive,
  sitePath,
  type SiteView,
  type SiteWithVersions,
  type VersionView,
} from './site-view.ts'
import { plain } from './terminal-text.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

const ls: Command = {
  name: 'site ls',
  operands: '',
  summary: 'Websites of this account, and where they are',
  async run({ operands, output, signal, api }) {
    none(operands)
    const sites = await everySite(await api(), signal)
    const headings = ['SITE', 'SEQUENCE', 'PUBLISHED', 'URL', 'NAME', '']
    print(output, sites, (all) =>
      output.quiet ? all.map(({ site }) => site).join('\n') : table(output, headings, all.map(siteRow)),
    )
  },
}

function everySite(client: ApiClient, signal: AbortSignal): Promise<SiteView[]> {
  return everyPage(async (query) => (await client.get<{ sites: SiteView[] }>('/v1/sites', { query, signal })).sites)
}

function siteRow({ site, sequence, publishedAt, url, name, problem }: SiteView): string[] {
  const published = publishedAt === null ? '' : toSecond(publishedAt)
  return [site, sequence, published, url ?? '', name, problem?.message ?? '']
}

const history: Command = {
  name: 'site history',
  operands: '<site>',
  summary: 'What was published of a website, the newest first, and what of it is kept',
  async run({ operands, output, signal, api }) {
    const site = only(operands, 'a site')
    const { versions } = await (await api()).get<SiteWithVersions>(sitePath(site), { signal })
    print(output, versions, (all) =>
      output.quiet
        ? all.map(({ value }) => plain(value ?? '')).join('\n')
        : table(output, ['SEQUENCE', 'PUBLISHED', 'PIN', 'VALUE', 'PREVIEW'], all.map(versionRow)),
    )
  },
}

function versionRow({ sequence, publishedAt, pin, value, url }: VersionView): string[] {
  return [sequence, toSecond(publishedAt), pin?.status ?? 'not kept', value ?? '', url ?? '']
}

const rollback: Command = {
  name: 'site rollback',
  operands: '<site>',
  summary: 'Publish an earlier version of a website again',
  options: {
    to: {
      type: 'string',
      value: '<sequence>',
      help: 'which one, as `site history` shows it; the one before when left out',
    },
    timeout: WAIT_OPTIONS.timeout,
  },
  async run({ operands, flags, output, signal, api }) {
    const site = only(operands, 'a site')
    const timeoutMs = durationFlag(flags, 'timeout')
    const client = await api()
    const { sequence, versions, value } = await client.get<SiteWithVersions>(sitePath(site), { signal })
    const { pin, value: path } = earlier(versions, value, textFlag(flags, 'to'))
    // Of a pin that is being healed the content is there, but not in as many copies as its policy needs.
    const { problem } = await waitUntilPinned(client, pin.requestid, { output, timeoutMs, signal })
    if (problem !== undefined) throw new CommandError(problem.exitCode, `Nothing is published. ${problem.message}`)
    const published = await publishVersion(client, site, { pin: pin.requestid, sequence }, signal)
    showLive(output, published, { cid: path.slice('/ipfs/'.length) })
  },
}

/** @throws CommandError when there is none, or it is not kept */
function earlier(
  versions: readonly VersionView[],
  live: string | null,
  sequence: string | undefined,
): { pin: { requestid: string }; value: string } {
  const found = versions.find((version) =>
    sequence === undefined ? version.value !== live : version.sequence === sequence,
  )
  if (found === undefined) {
    const what = sequence === undefined ? 'an earlier version' : `the sequence ${sequence}`
    throw new CommandError(EXIT.notFound, `The site does not have ${what}.`)
  }
  const { pin, value } = found
  if (pin !== null && value !== null) return { pin, value }
  throw new CommandError(
    EXIT.notFound,
    `The version with the sequence ${found.sequence} is not kept any more; deploy its files again.`,
  )
}

interface DomainView {
  domain: string
  record: { name: string; type: string; value: string }
  found: string | null
  state: 'right' | 'frozen' | 'wrong' | 'missing'
  ignored: number
}

const SAYS: Readonly<Record<DomainView['state'], string>> = {
  right: 'It leads to the site.',
  frozen: 'It leads to the version that is live now, and will not follow the next one.',
  wrong: 'It leads elsewhere.',
  missing: 'It has no DNSLink.',
}

const domainCheck: Command = {
  name: 'site domain check',
  operands: '<domain>',
  summary: 'Which TXT record leads a domain to a website, and whether it is there',
  options: { site: { type: 'string', help: 'which site; not needed when the account has one only' } },
  async run({ operands, flags, output, signal, api }) {
    const domain = only(operands, 'a domain')
    const client = await api()
    const site = textFlag(flags, 'site') ?? (await onlySite(client, signal))
    const path = `${sitePath(site)}/domains/${encodeURIComponent(domain)}`
    const checked = await client.get<DomainView>(path, { signal })
    const { record, state, found, ignored } = checked
    print(output, checked, () =>
      output.quiet
        ? state
        : table(output, ['NAME', 'TYPE', 'VALUE', 'STATE'], [[record.name, record.type, record.value, state]]),
    )
    note(output, `${SAYS[state]}${found === null ? '' : ` Now: ${plain(found)}`}`)
    if (ignored > 0) note(output, `It has ${ignored + 1} DNSLinks; remove all but one.`)
    if (state !== 'right') {
      throw new CommandError(EXIT.failure, `Set the TXT record of ${record.name} to "${record.value}".`)
    }
  },
}

async function onlySite(client: ApiClient, signal: AbortSignal): Promise<string> {
  const [first, ...others] = await everySite(client, signal)
  if (first === undefined) throw new CommandError(EXIT.notFound, 'This account has no site. Deploy one first.')
  if (others.length > 0) throw new CommandError(EXIT.usage, 'This account has several sites: say which with --site.')
  return first.site
}

export const siteCommands: readonly Command[] = [ls, history, rollback, domainCheck]
