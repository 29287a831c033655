import { formatSize } from '../core/units.ts'
import { none, type Command } from './command.ts'
import type { NodeView } from './nodes.ts'
import { print } from './output.ts'
import { plain } from './terminal-text.ts'

interface Usage {
  pins: number
  bytes: number
  maxPins: number | null
}

export const status: Command = {
  name: 'status',
  operands: '',
  summary: 'Whether the service answers, its nodes, and your usage',
  async run({ operands, output, signal, api }) {
    none(operands)
    const client = await api()
    const [usage, { nodes }] = await Promise.all([
      client.get<Usage>('/v1/usage', { signal }),
      client.get<{ nodes: NodeView[] }>('/v1/nodes', { signal }),
    ])
    print(output, { api: client.url, usage, nodes }, () =>
      output.quiet ? '' : [`${client.url} answers`, nodesLine(nodes), usageLine(usage)].join('\n'),
    )
  },
}

function nodesLine(nodes: readonly NodeView[]): string {
  const others = nodes.filter((node) => node.liveness !== 'up' || node.state !== 'active' || node.refusal !== null)
  const up = nodes.filter(({ liveness }) => liveness === 'up').length
  const remarks = others.map(({ id, liveness, state, refusal }) =>
    [id, ...(liveness === 'up' ? [] : [liveness]), ...(state === 'active' ? [] : [state]), refusal ?? '']
      .join(' ')
      .trim(),
  )
  return `nodes: ${up} of ${nodes.length} up${remarks.length === 0 ? '' : ` (${plain(remarks.join('; '))})`}`
}

function usageLine({ pins, bytes, maxPins }: Usage): string {
  return `pins: ${pins}${maxPins === null ? '' : ` of ${maxPins}`}, ${formatSize(bytes)}`
}
