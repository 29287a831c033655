import { pipeline } from 'node:stream/promises'
import type { LineCount } from './classify-lines.ts'
import { none, type Command } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'

export const uriClassify: Command = {
  name: 'uri classify',
  operands: '',
  summary: 'Say what URIs of tokens name and how lasting they are: NDJSON in and out, offline',
  async run({ operands, signal }) {
    none(operands)
    const { classifyLines } = await import('./classify-lines.ts')
    const count: LineCount = { lines: 0, wrong: 0 }
    const answers = (chunks: AsyncIterable<Buffer>): AsyncIterable<string> => classifyLines(chunks, count)
    await pipeline(process.stdin, answers, process.stdout, { end: false, signal })
    if (count.wrong > 0) {
      throw new CommandError(
        EXIT.usage,
        `${count.wrong} of ${count.lines} lines could not be read; their answers say why.`,
      )
    }
  },
}
