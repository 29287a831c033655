import { SECOND_MS } from '../core/units.ts'
import { countFlag, durationFlag, none, only, textFlag, type Command } from './command.ts'
import { everyPage } from './every-page.ts'
import { print, table } from './output.ts'
import { toSecond } from './pin-view.ts'
import { plain } from './terminal-text.ts'

interface FollowView {
  name: string
  policy: string
  keep: number
  everySeconds: number
  value: string | null
  checkedAt: string | null
  problem: { code: string; message: string } | null
}

interface FollowWithVersions extends FollowView {
  versions: { cid: string; since: string; pin: { requestid: string; status: string } | null }[]
}

const add: Command = {
  name: 'follow add',
  operands: '<name | domain>',
  summary: 'Pin what an IPNS name, a domain or a name of ENS leads to, and each of its next versions',
  options: {
    policy: { type: 'string', help: 'replication policy of the versions' },
    keep: { type: 'string', help: 'versions that stay pinned, the present one among them (5)' },
    every: { type: 'string', help: 'how often the name is looked at, such as 1h (5m)' },
  },
  async run({ operands, flags, output, signal, api }) {
    const path = pathOf(only(operands, 'a name'))
    const policy = textFlag(flags, 'policy')
    const body = {
      ...(policy !== undefined && { policy }),
      ...(flags['keep'] !== undefined && { keep: countFlag(flags, 'keep') }),
      ...(flags['every'] !== undefined && { everySeconds: Math.round(durationFlag(flags, 'every') / SECOND_MS) }),
    }
    print(output, await (await api()).put<FollowView>(path, body, { signal }), ({ name }) => name)
  },
}

const ls: Command = {
  name: 'follow ls',
  operands: '',
  summary: 'Names whose versions are pinned as they come',
  async run({ operands, output, signal, api }) {
    none(operands)
    const client = await api()
    const all = await everyPage(
      async (query) => (await client.get<{ follows: FollowView[] }>('/v1/follows', { query, signal })).follows,
    )
    const headings = ['NAME', 'POLICY', 'KEEP', 'CHECKED', 'VALUE', '']
    print(output, all, (follows) =>
      output.quiet ? follows.map(({ name }) => name).join('\n') : table(output, headings, follows.map(followRow)),
    )
  },
}

function followRow({ name, policy, keep, checkedAt, value, problem }: FollowView): string[] {
  const checked = checkedAt === null ? '' : toSecond(checkedAt)
  return [name, policy, String(keep), checked, value ?? '', problem?.message ?? '']
}

const get: Command = {
  name: 'follow get',
  operands: '<name | domain>',
  summary: 'The versions of a followed name that are kept, the newest first',
  async run({ operands, output, signal, api }) {
    const path = pathOf(only(operands, 'a name'))
    const follow = await (await api()).get<FollowWithVersions>(path, { signal })
    const rows = follow.versions.map(({ cid, since, pin }) => [
      cid,
      toSecond(since),
      pin?.status ?? 'removed',
      pin?.requestid ?? '',
    ])
    print(output, follow, ({ versions }) =>
      output.quiet
        ? versions.map(({ cid }) => cid).join('\n')
        : table(output, ['CID', 'SINCE', 'PIN', 'REQUEST ID'], rows),
    )
  },
}

const rm: Command = {
  name: 'follow rm',
  operands: '<name | domain>',
  summary: 'Follow a name no more, and remove the pins of its versions',
  async run({ operands, output, signal, api }) {
    const name = only(operands, 'a name')
    await (await api()).delete(pathOf(name), { signal })
    print(output, { name, removed: true }, () => (output.quiet ? '' : `follows ${plain(name)} no more`))
  },
}

function pathOf(name: string): string {
  return `/v1/follows/${encodeURIComponent(name)}`
}

export const followCommands: readonly Command[] = [add, ls, get, rm]
