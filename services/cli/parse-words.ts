import { parseArgs } from 'node:util'
import type { Command, Flags, Options } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { GLOBAL_OPTIONS } from './help.ts'
import { nearest } from '../core/nearest.ts'

/** What somebody typed: a command with its operands and flags, or a wish for help about some commands. */
export type Parsed =
  | { command: Command; operands: string[]; flags: Flags }
  | { helpAbout: readonly Command[]; command?: undefined }

/**
 * Reads the words after the program's name. Options may stand anywhere, also before the command.
 * @throws CommandError with `usage`, and the nearest name when there is no such command or option
 */
export function parseWords(words: readonly string[], commands: readonly Command[]): Parsed {
  const positions = positionalsOf(words, commands)
  const typed = positions.map((index) => words[index] as string)
  if (typed[0] === 'help') return { helpAbout: commandsUnder(typed.slice(1), commands) }
  const command = commands.find(({ name }) => name.split(' ').every((word, index) => typed[index] === word))
  if (command === undefined) {
    const isAsked = words.some((word) => word === '--help' || word === '-h')
    if (typed.length === 0 || isAsked) return { helpAbout: commandsUnder(typed, commands) }
    throw unknownCommand(typed, commands)
  }
  const taken = new Set(positions.slice(0, command.name.split(' ').length))
  const { flags, operands } = strictly(
    words.filter((_, index) => !taken.has(index)),
    command,
  )
  return flags['help'] === true ? { helpAbout: [command] } : { command, operands, flags }
}

/** Indexes of the words that are neither options nor their values. An option means the same in every command. */
function positionalsOf(words: readonly string[], commands: readonly Command[]): number[] {
  const options = Object.assign({}, ...commands.map((command) => command.options ?? {}), GLOBAL_OPTIONS) as Options
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true })
  return tokens.filter(({ kind }) => kind === 'positional').map(({ index }) => index)
}

function strictly(args: string[], command: Command): { flags: Flags; operands: string[] } {
  const options: Options = { ...GLOBAL_OPTIONS, ...command.options }
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true })
    return { flags: values, operands: positionals }
  } catch (cause) {
    throw new CommandError(EXIT.usage, optionProblem(cause as Error, command, options), { cause })
  }
}

function optionProblem({ message }: Error, { name }: Command, options: Options): string {
  const unknown = /^Unknown option '(-[^']*)'/.exec(message)?.[1]
  const sentence = unknown === undefined ? message.split('\n', 1)[0] : `\`${name}\` has no option ${unknown}.`
  const close = unknown === undefined ? undefined : nearest(unknown.replace(/^-+/, ''), Object.keys(options))
  return `${sentence}${close === undefined ? '' : ` Did you mean --${close}?`} See: holdfast ${name} --help`
}

function commandsUnder(typed: readonly string[], commands: readonly Command[]): readonly Command[] {
  const found = commands.filter(({ name }) => `${name} `.startsWith(`${typed.join(' ')} `))
  if (typed.length === 0) return commands
  if (found.length === 0) throw unknownCommand(typed, commands)
  return found
}

function unknownCommand(typed: readonly string[], commands: readonly Command[]): CommandError {
  const group = commands.filter(({ name }) => name.startsWith(`${typed[0]} `))
  const shown = typed.slice(0, 2).join(' ')
  if (group.length > 0 && typed.length === 1) {
    return new CommandError(EXIT.usage, `\`${shown}\` needs one more word: ${group.map(lastWord).join(', ')}.`)
  }
  const names = commands.map(({ name }) => name)
  const close = nearest(shown, names) ?? nearest(typed[0] ?? '', names)
  const hint = close === undefined ? 'See: holdfast --help' : `Did you mean \`${close}\`?`
  return new CommandError(EXIT.usage, `There is no command \`${shown}\`. ${hint}`)
}

function lastWord({ name }: Command): string {
  return name.slice(name.indexOf(' ') + 1)
}
