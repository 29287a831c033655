import { formatSize, parseSizeBytes } from '../core/units.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { none, only, textFlag, type Command, type Flags } from './command.ts'
import { everyPageBy } from './every-page.ts'
import { print, table } from './output.ts'
import { toSecond } from './pin-view.ts'
import { plain } from './terminal-text.ts'

interface GuardView {
  collection: string
  policy: string
  keepHistory: string
  readAt: string | null
  readBlock: string | null
  limitedAt: string | null
  waiting: string | null
  problem: { code: string; message: string } | null
}

interface GuardWithFigures extends GuardView {
  figures: { tokens: number; provisional: number; unread: number; pins: Record<string, number>; bytes: number }
}

const guard: Command = {
  name: 'collection guard',
  operands: '<eip155:1/erc721:0x…>',
  summary: 'Pin all that the tokens of a contract lead to, now and whenever it changes',
  options: {
    policy: { type: 'string', help: 'replication policy of the pins' },
    'keep-history': { type: 'string', help: 'how long what tokens led to before is kept, or forever (90d)' },
    'token-size': { type: 'string', value: '<size>', help: 'what one token may have to itself (256MiB)' },
    'collection-size': { type: 'string', value: '<size>', help: 'what is pinned at most (256GiB)' },
    'day-size': { type: 'string', value: '<size>', help: 'what is pinned at most within a day (64GiB)' },
  },
  async run({ operands, flags, output, signal, api }) {
    const path = pathOf(only(operands, 'a collection'))
    const limits = {
      ...sizeIn(flags, 'token-size', 'tokenBytes'),
      ...sizeIn(flags, 'collection-size', 'collectionBytes'),
      ...sizeIn(flags, 'day-size', 'dayBytes'),
    }
    const policy = textFlag(flags, 'policy')
    const keepHistory = textFlag(flags, 'keep-history')
    const body = { ...(policy !== undefined && { policy }), ...(keepHistory !== undefined && { keepHistory }), limits }
    print(output, await (await api()).put<GuardView>(path, body, { signal }), ({ collection }) => collection)
  },
}

function sizeIn(flags: Flags, name: string, key: string): Record<string, number> {
  const text = textFlag(flags, name)
  if (text === undefined) return {}
  const bytes = parseSizeBytes(text)
  if (bytes === undefined) throw new CommandError(EXIT.usage, `--${name} takes a size such as 512MiB or 20GiB.`)
  return { [key]: bytes }
}

const unguard: Command = {
  name: 'collection unguard',
  operands: '<eip155:1/erc721:0x…>',
  summary: 'Guard a collection no more, and remove the pins that were made for it',
  async run({ operands, output, signal, api }) {
    const collection = only(operands, 'a collection')
    await (await api()).delete(pathOf(collection), { signal })
    print(output, { collection, removed: true }, () => (output.quiet ? '' : `guards ${plain(collection)} no more`))
  },
}

const guards: Command = {
  name: 'collection guards',
  operands: '',
  summary: 'Collections that are guarded',
  async run({ operands, output, signal, api }) {
    none(operands)
    const client = await api()
    const all = await everyPageBy(
      ({ collection }: GuardView) => collection,
      async (query) => (await client.get<{ guards: GuardView[] }>('/v1/guards', { query, signal })).guards,
    )
    const headings = ['COLLECTION', 'POLICY', 'KEEP', 'READ', 'BLOCK', '']
    print(output, all, (list) =>
      output.quiet ? list.map(({ collection }) => collection).join('\n') : table(output, headings, list.map(guardRow)),
    )
  },
}

function guardRow({ collection, policy, keepHistory, readAt, readBlock, ...state }: GuardView): string[] {
  return [collection, policy, keepHistory, readAt === null ? '' : toSecond(readAt), readBlock ?? '', stateOf(state)]
}

function stateOf({ waiting, problem, limitedAt }: Pick<GuardView, 'waiting' | 'problem' | 'limitedAt'>): string {
  if (waiting !== null) return `waiting: ${plain(waiting)}`
  if (problem !== null) return plain(problem.message)
  return limitedAt === null ? '' : 'a limit holds back pins'
}

const status: Command = {
  name: 'collection guard-status',
  operands: '<eip155:1/erc721:0x…>',
  summary: 'How far what the tokens of a guarded collection lead to is kept',
  async run({ operands, output, signal, api }) {
    const path = pathOf(only(operands, 'a collection'))
    const found = await (await api()).get<GuardWithFigures>(path, { signal })
    print(output, found, ({ figures, ...view }) => {
      if (output.quiet) return String(figures.tokens)
      const read = view.readBlock === null ? 'not read yet' : `read at block ${view.readBlock}`
      const pins = Object.entries(figures.pins).map(([name, count]) => [`pins ${name}`, String(count)])
      const rows = [
        ['tokens', String(figures.tokens)],
        ['not final yet', String(figures.provisional)],
        ['metadata to be read', String(figures.unread)],
        ...pins,
        ['size', formatSize(figures.bytes)],
      ]
      return [read, ...[stateOf(view)].filter((line) => line !== ''), table(output, ['', ''], rows)].join('\n')
    })
  },
}

function pathOf(collection: string): string {
  return `/v1/collections/${encodeURIComponent(collection)}/guard`
}

export const guardCommands: readonly Command[] = [guard, unguard, guards, status]
