import type { Command, Options } from './command.ts'
import { aligned } from './output.ts'

/** Options that every command takes. */
export const GLOBAL_OPTIONS = {
  url: { type: 'string', help: 'API of the service; else HOLDFAST_URL, else the local cluster of this folder' },
  token: {
    type: 'string',
    help: 'token of the account; else HOLDFAST_TOKEN, which other users of the machine cannot see',
  },
  gateway: { type: 'string', help: 'gateway to read from; else HOLDFAST_GATEWAY, else the nodes of the service' },
  json: { type: 'boolean', help: 'one JSON document a line' },
  quiet: { type: 'boolean', short: 'q', help: 'CIDs or ids only, no progress' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies Options

/** Commands that begin with the same words, or all of them. */
export function overview(commands: readonly Command[]): string {
  return [
    'usage: holdfast <command> [options]',
    '',
    aligned(commands.map(({ name, operands, summary }) => [`  ${name} ${operands}`.trimEnd(), summary])),
    '',
    'Options of every command:',
    optionLines(GLOBAL_OPTIONS),
    '',
    'holdfast <command> --help tells its other options. Data goes to standard output, the rest to standard error.',
    'Exit codes: 0 done, 1 failed, 2 usage, 3 token or quota, 4 not found, 5 wrong bytes, 6 timeout, 7 unreachable.',
  ].join('\n')
}

export function helpOf({ name, operands, summary, options = {} }: Command): string {
  const usage = ['usage: holdfast', name, operands, '[options]'].filter((part) => part !== '').join(' ')
  return [usage, summary, '', optionLines({ ...options, ...GLOBAL_OPTIONS })].join('\n')
}

function optionLines(options: Options): string {
  return aligned(
    Object.entries(options).map(([name, { type, short, help, value = '…', default: fallback }]) => [
      `  ${short === undefined ? '' : `-${short}, `}--${name}${type === 'string' ? ` ${value}` : ''}`,
      fallback === undefined ? help : `${help} (${String(fallback)})`,
    ]),
  )
}
