import { formatSize } from '../core/units.ts'
import { expiresAt, EXPIRES_OPTION } from './expiry.ts'
import { none, only, type Command } from './command.ts'
import { note, print, table } from './output.ts'

/** A storage server, as `GET /v1/nodes` answers it. */
export interface NodeView {
  id: string
  region: string
  state: 'active' | 'draining' | 'drained'
  liveness: 'up' | 'suspect' | 'down'
  gateway: string
  freeBytes: number
  storedBytes: number
  roots: number
  /** Copies that it works on or that wait for it. */
  queued: number
  /** Why it takes no writes. */
  refusal: string | null
}

const HEADINGS = ['NODE', 'REGION', 'STATE', 'LIVENESS', 'STORED', 'FREE', 'ROOTS', 'QUEUED', 'GATEWAY', '']

const ls: Command = {
  name: 'node ls',
  operands: '',
  summary: 'Storage nodes, whether they answer, and their space',
  async run({ operands, output, signal, api }) {
    none(operands)
    const { nodes } = await (await api()).get<{ nodes: NodeView[] }>('/v1/nodes', { signal })
    print(output, nodes, (all) =>
      output.quiet ? all.map(({ id }) => id).join('\n') : table(output, HEADINGS, all.map(nodeRow)),
    )
  },
}

function nodeRow(node: NodeView): string[] {
  const { id, region, state, liveness, storedBytes, freeBytes, roots, queued, gateway, refusal } = node
  const space = [formatSize(storedBytes), formatSize(freeBytes)]
  return [id, region, state, liveness, ...space, String(roots), String(queued), gateway, refusal ?? '']
}

function nodeAction(verb: 'drain' | 'undrain', summary: string): Command {
  return {
    name: `node ${verb}`,
    operands: '<node>',
    summary,
    async run({ operands, output, signal, api }) {
      const node = encodeURIComponent(only(operands, 'a node'))
      const answer = await (await api()).post<NodeView>(`/v1/nodes/${node}:${verb}`, undefined, { signal })
      print(output, answer, ({ id, state }) => (output.quiet ? '' : `${id} is ${state}`))
    },
  }
}

const invite: Command = {
  name: 'node invite',
  operands: '<name>',
  summary: 'Make a token by which servers can join; it is shown once',
  options: { expires: EXPIRES_OPTION },
  async run({ operands, flags, output, signal, api }) {
    const body = { name: only(operands, 'what the invitation is for'), ...expiresAt(flags) }
    const invited = await (await api()).post<{ joinToken: string }>('/v1/nodes:invite', body, { signal })
    print(output, invited, ({ joinToken }) => joinToken)
    note(output, 'A server joins with it as HOLDFAST_JOIN_TOKEN and with HOLDFAST_ROLES=node. It is not shown again.')
  },
}

export const nodeCommands: readonly Command[] = [
  ls,
  nodeAction('drain', 'Move the copies of a node elsewhere, before it is taken away'),
  nodeAction('undrain', 'Take a drained node back'),
  invite,
]
