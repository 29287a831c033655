import { readFile } from 'node:fs/promises'
import { formatSize } from '../core/units.ts'
import type { Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { print, table } from './output.ts'
import { only } from './pins.ts'

interface NodeView {
  id: string
  region: string
  state: string
  liveness: string
  capacityBytes: number
  freeBytes: number
  storedBytes: number
  roots: number
  gateway: string
  refusal?: string | null
}

const nodeLs: Command = {
  name: 'node ls',
  operands: '',
  summary: 'Storage nodes, whether they answer, and their space',
  async run({ output, signal, connect }) {
    const { client } = await connect()
    const { nodes } = await client.get<{ nodes: NodeView[] }>('/v1/nodes', { signal })
    print(output, nodes, (all) =>
      table(['NODE', 'REGION', 'STATE', 'LIVENESS', 'STORED', 'FREE', 'ROOTS', 'GATEWAY'], all.map(nodeRow)),
    )
  },
}

function nodeRow(node: NodeView): string[] {
  const { id, region, state, liveness, storedBytes, freeBytes, roots, gateway } = node
  return [id, region, state, liveness, formatSize(storedBytes), formatSize(freeBytes), String(roots), gateway]
}

function nodeAction(verb: 'drain' | 'undrain', summary: string): Command {
  return {
    name: `node ${verb}`,
    operands: '<node>',
    summary,
    async run({ operands, output, signal, connect }) {
      const { client } = await connect()
      const node = only(operands, 'a node')
      const answer = await client.post<NodeView>(`/v1/nodes/${encodeURIComponent(node)}:${verb}`, {}, { signal })
      print(output, answer, ({ id, state }) => `${id} is ${state}`)
    },
  }
}

const status: Command = {
  name: 'status',
  operands: '',
  summary: 'Whether the service answers, its nodes, and your usage',
  async run({ output, signal, connect }) {
    const { client, connection } = await connect()
    const [usage, { nodes }] = await Promise.all([
      client.get<{ pins: number; bytes: number }>('/v1/usage', { signal }),
      client.get<{ nodes: NodeView[] }>('/v1/nodes', { signal }),
    ])
    const up = nodes.filter(({ liveness }) => liveness === 'up').length
    print(output, { api: connection.api, usage, nodes }, () =>
      [
        `${connection.api} answers`,
        `nodes: ${up} of ${nodes.length} up`,
        `pins: ${usage.pins}, ${formatSize(usage.bytes)}`,
      ].join('\n'),
    )
  },
}

const policyLs: Command = {
  name: 'policy ls',
  operands: '',
  summary: 'Replication policies',
  async run({ output, signal, connect }) {
    const { client } = await connect()
    const { policies } = await client.get<{
      policies: { name: string; spec: { copies: { min: number; target: number } } }[]
    }>('/v1/policies', { signal })
    print(output, policies, (all) =>
      table(
        ['POLICY', 'MIN', 'TARGET'],
        all.map(({ name, spec }) => [name, String(spec.copies.min), String(spec.copies.target)]),
      ),
    )
  },
}

const policyApply: Command = {
  name: 'policy apply',
  operands: '<name> <file.json>',
  summary: 'Save a policy; its pins follow it from then on',
  async run({ operands, output, signal, connect }) {
    const [name, file, ...others] = operands
    if (name === undefined || file === undefined || others.length > 0) {
      throw new CommandError(EXIT.usage, 'Name the policy and the JSON file that describes it.')
    }
    const { client } = await connect()
    const spec: unknown = JSON.parse(await readFile(file, 'utf8'))
    print(
      output,
      await client.put(`/v1/policies/${encodeURIComponent(name)}`, spec, { signal }),
      () => `${name} is saved`,
    )
  },
}

const tokenCreate: Command = {
  name: 'token create',
  operands: '<name>',
  summary: 'Make a token; it is shown once',
  options: { scopes: { type: 'string', default: 'pins:read,pins:write,uploads:write' }, expires: { type: 'string' } },
  async run({ operands, flags, output, signal, connect }) {
    const { client } = await connect()
    const expiresAt = flags['expires']
    const body = {
      name: only(operands, 'what the token is for'),
      scopes: String(flags['scopes']).split(','),
      ...(typeof expiresAt === 'string' ? { expiresAt } : {}),
    }
    print(
      output,
      await client.post<{ id: string; token: string }>('/v1/tokens', body, { signal }),
      ({ token }) => token,
    )
  },
}

const tokenLs: Command = {
  name: 'token ls',
  operands: '',
  summary: 'Tokens of this account',
  async run({ output, signal, connect }) {
    const { client } = await connect()
    const { tokens } = await client.get<{ tokens: { id: string; name: string; hint: string; scopes: string[] }[] }>(
      '/v1/tokens',
      { signal },
    )
    print(output, tokens, (all) =>
      table(
        ['ID', 'NAME', 'TOKEN', 'SCOPES'],
        all.map(({ id, name, hint, scopes }) => [id, name, hint, scopes.join(' ')]),
      ),
    )
  },
}

const tokenRevoke: Command = {
  name: 'token revoke',
  operands: '<id>',
  summary: 'Make a token worthless, within a second',
  async run({ operands, output, signal, connect }) {
    const { client } = await connect()
    const id = only(operands, 'the id of a token')
    await client.delete(`/v1/tokens/${encodeURIComponent(id)}`, { signal })
    print(output, { id, revoked: true }, () => `revoked ${id}`)
  },
}

export const clusterCommands: readonly Command[] = [
  status,
  nodeLs,
  nodeAction('drain', 'Move the copies of a node elsewhere, before it is taken away'),
  nodeAction('undrain', 'Take a drained node back'),
  policyLs,
  policyApply,
  tokenCreate,
  tokenLs,
  tokenRevoke,
]
