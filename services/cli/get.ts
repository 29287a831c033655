import { only, textFlag, type Command } from './command.ts'
import { contentPath } from './content-path.ts'

export const get: Command = {
  name: 'get',
  operands: '<cid[/path] | ipfs://…>',
  summary: 'Read a file or folder back from a gateway, checking every block',
  options: {
    output: { type: 'string', short: 'o', help: 'where to write it; - for standard output; else the last name here' },
  },
  async run(invocation) {
    const path = contentPath(only(invocation.operands, 'a CID or ipfs:// path'))
    // What reads DAGs is loaded by this command only: the others start in half the time without it.
    const { getContent } = await import('./get-content.ts')
    await getContent(path, textFlag(invocation.flags, 'output'), invocation)
  },
}
