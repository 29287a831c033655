import { expiresAt, EXPIRES_OPTION } from './expiry.ts'
import { none, only, textFlag, type Command } from './command.ts'
import { note, print, table } from './output.ts'
import { toSecond } from './pin-view.ts'

interface TokenView {
  id: string
  name: string
  /** What it looks like: its prefix and last characters. */
  hint: string
  scopes: string[]
  expiresAt: string | null
  lastUsedAt: string | null
}

const create: Command = {
  name: 'token create',
  operands: '<name>',
  summary: 'Make a token; it is shown once',
  options: {
    scopes: { type: 'string', default: 'pins:read,pins:write,uploads:write', help: 'what it may do' },
    expires: EXPIRES_OPTION,
  },
  async run({ operands, flags, output, signal, api }) {
    const name = only(operands, 'what the token is for')
    const scopes = (textFlag(flags, 'scopes') ?? '').split(',').map((scope) => scope.trim())
    const body = { name, scopes, ...expiresAt(flags) }
    const made = await (await api()).post<{ id: string; token: string }>('/v1/tokens', body, { signal })
    print(output, made, ({ token }) => token)
    note(output, `Its id is ${made.id}; the token itself is not shown again.`)
  },
}

const ls: Command = {
  name: 'token ls',
  operands: '',
  summary: 'Tokens of this account',
  async run({ operands, output, signal, api }) {
    none(operands)
    const { tokens } = await (await api()).get<{ tokens: TokenView[] }>('/v1/tokens', { signal })
    const headings = ['ID', 'NAME', 'TOKEN', 'EXPIRES', 'LAST USED', 'SCOPES']
    print(output, tokens, (all) =>
      output.quiet ? all.map(({ id }) => id).join('\n') : table(output, headings, all.map(tokenRow)),
    )
  },
}

function tokenRow({ id, name, hint, scopes, expiresAt, lastUsedAt }: TokenView): string[] {
  const [expires, used] = [expiresAt, lastUsedAt].map((time) => (time === null ? 'never' : toSecond(time)))
  return [id, name, hint, expires ?? '', used ?? '', scopes.join(' ')]
}

const revoke: Command = {
  name: 'token revoke',
  operands: '<id>',
  summary: 'Make a token worthless, within a second',
  async run({ operands, output, signal, api }) {
    const id = only(operands, 'the id of a token')
    await (await api()).delete(`/v1/tokens/${encodeURIComponent(id)}`, { signal })
    print(output, { id, revoked: true }, () => (output.quiet ? '' : `revoked ${id}`))
  },
}

export const tokenCommands: readonly Command[] = [create, ls, revoke]
