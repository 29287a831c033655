import { some, textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { lookAt, type LocalFile } from './list-folder.ts'
import type { NodeView } from './nodes.ts'
import { print, table } from './output.ts'
import { readLocalFile } from './read-local-file.ts'

interface Imported {
  /** Root of the CAR. */
  cid: string
  /** Those that the node did not have. */
  blocks: number
  bytes: number
}

const carImport: Command = {
  name: 'car import',
  operands: '<file…>',
  summary: 'Put blocks of CARs on nodes without pinning them; for operators',
  options: {
    'no-pin': { type: 'boolean', help: 'needed: `holdfast up` is for CARs that shall be pinned' },
    node: { type: 'string', help: 'one node; all that are up when left out', value: 'name' },
  },
  async run(invocation) {
    const paths = some(invocation.operands, 'CAR')
    if (invocation.flags['no-pin'] !== true) {
      throw new CommandError(
        EXIT.usage,
        'Say --no-pin: the blocks go again after the grace time. `holdfast up` pins a CAR.',
      )
    }
    const files = await Promise.all(paths.map(fileAt))
    const nodes = await nodesFor(invocation)
    for (const file of files) await importAndShow(file, nodes, invocation)
  },
}

export const carCommands: readonly Command[] = [carImport]

async function fileAt(path: string): Promise<LocalFile> {
  const found = await lookAt(path)
  if (found.kind === 'file') return found.file
  throw new CommandError(EXIT.usage, `${path} is a folder, not a CAR.`)
}

async function nodesFor({ flags, signal, api }: Invocation): Promise<string[]> {
  const wanted = textFlag(flags, 'node')
  if (wanted !== undefined) return [wanted]
  const { nodes } = await (await api()).get<{ nodes: NodeView[] }>('/v1/nodes', { signal })
  const up = nodes.filter(({ liveness }) => liveness === 'up').map(({ id }) => id)
  if (up.length === 0) throw new CommandError(EXIT.unreachable, 'No node is up.')
  return up
}

async function importAndShow(file: LocalFile, nodes: readonly string[], invocation: Invocation): Promise<void> {
  const { output, signal, api } = invocation
  const client = await api()
  for (const node of nodes) {
    const body = { contentType: 'application/vnd.ipld.car', length: file.sizeBytes, chunks: readLocalFile(file) }
    const answer = await client.upload<Imported>(`/v1/nodes/${encodeURIComponent(node)}:import`, body, { signal })
    print(output, { path: file.path, node, ...answer }, ({ cid, blocks }) =>
      output.quiet ? cid : table(output, [], [[cid, node, `${blocks} new blocks`, file.path]]),
    )
  }
}
