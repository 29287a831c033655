import { open, readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { SECOND_MS } from '../core/units.ts'
import { durationFlag, none, only, textFlag, type Command, type Flags, type Options } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { everyPage } from './every-page.ts'
import { note, print, table } from './output.ts'
import { toSecond } from './pin-view.ts'
import { plain } from './terminal-text.ts'

interface NameView {
  name: string
  label: string | null
  mode: 'hosted' | 'client-signed' | 'watched'
  value: string | null
  sequence: string
  ttlSeconds: number
  lifetimeSeconds: number
  validUntil: string | null
  state: string
  nodes: { reached: number; of: number }
}

/** The largest key has 4,700 bytes. */
const MAX_KEY_BYTES = 8_192

const LENGTHS = {
  ttl: { type: 'string', help: 'how long others may go on without asking again (60s)' },
  lifetime: { type: 'string', help: 'how long a record is valid unless it is signed anew (7d)' },
} as const satisfies Options
const LABEL = { type: 'string', help: 'what you call it; commands take it in place of the name' } as const

const create: Command = {
  name: 'name create',
  operands: '[label]',
  summary: 'Make an IPNS name whose key the service keeps, or have it serve one whose key is elsewhere',
  options: {
    value: { type: 'string', help: 'what it points to at once: a CID or a path such as /ipfs/…' },
    signed: { type: 'string', value: '<name>', help: 'your own name, for which you sign records yourself' },
    watch: { type: 'string', value: '<name>', help: 'a foreign name that is kept alive while its record is valid' },
    ...LENGTHS,
  },
  async run({ operands, flags, output, signal, api }) {
    if (operands.length > 1) throw new CommandError(EXIT.usage, 'Give one label at most.')
    const [label] = operands
    const value = textFlag(flags, 'value')
    const body = { ...(label !== undefined && { label }), ...(value !== undefined && { value }), ...modeOf(flags) }
    const made = await (await api()).post<NameView>('/v1/names', { ...body, ...lengthsOf(flags) }, { signal })
    print(output, made, ({ name }) => name)
  },
}

function modeOf(flags: Flags): { mode?: string; name?: string } {
  const [signed, watched] = [textFlag(flags, 'signed'), textFlag(flags, 'watch')]
  if (signed !== undefined && watched !== undefined) throw new CommandError(EXIT.usage, 'Say --signed or --watch.')
  if (signed !== undefined) return { mode: 'client-signed', name: signed }
  return watched === undefined ? {} : { mode: 'watched', name: watched }
}

function lengthsOf(flags: Flags): { ttlSeconds?: number; lifetimeSeconds?: number } {
  const seconds = (flag: string): number => Math.round(durationFlag(flags, flag) / SECOND_MS)
  return {
    ...(textFlag(flags, 'ttl') !== undefined && { ttlSeconds: seconds('ttl') }),
    ...(textFlag(flags, 'lifetime') !== undefined && { lifetimeSeconds: seconds('lifetime') }),
  }
}

const publish: Command = {
  name: 'name publish',
  operands: '<name | label> <cid | path>',
  summary: 'Let a name point to something else, on every node at once',
  options: {
    'if-sequence': { type: 'string', value: '<n>', help: 'only while the name is at this sequence' },
    ...LENGTHS,
  },
  async run({ operands, flags, output, signal, api }) {
    const [name, value, ...others] = operands
    if (name === undefined || value === undefined || others.length > 0) {
      throw new CommandError(EXIT.usage, 'Name the name, and the CID or path that it shall point to.')
    }
    const sequence = textFlag(flags, 'if-sequence')
    const body = { value, ...(sequence !== undefined && { sequence }), ...lengthsOf(flags) }
    const saved = await (await api()).put<NameView>(pathOf(name), body, { signal })
    print(output, saved, (now) => (output.quiet ? now.name : `${now.name} points to ${plain(now.value ?? '')}`))
    note(output, `It is at the sequence ${saved.sequence}.`)
  },
}

const ls: Command = {
  name: 'name ls',
  operands: '',
  summary: 'IPNS names of this account',
  async run({ operands, output, signal, api }) {
    none(operands)
    const client = await api()
    const all = await everyPage(
      async (query) => (await client.get<{ names: NameView[] }>('/v1/names', { query, signal })).names,
    )
    const headings = ['NAME', 'LABEL', 'MODE', 'STATE', 'SEQUENCE', 'VALUE']
    print(output, all, (names) =>
      output.quiet ? names.map(({ name }) => name).join('\n') : table(output, headings, names.map(nameRow)),
    )
  },
}

function nameRow({ name, label, mode, state, sequence, value }: NameView): string[] {
  return [name, label ?? '', mode, state, sequence, value ?? '']
}

const get: Command = {
  name: 'name get',
  operands: '<name | label>',
  summary: 'One name: where it points to, until when, and on how many nodes',
  async run({ operands, output, signal, api }) {
    const saved = await (await api()).get<NameView>(pathOf(only(operands, 'a name')), { signal })
    print(output, saved, (now) => (output.quiet ? (now.value ?? '') : nameText(now)))
  },
}

function nameText({ name, label, mode, value, sequence, validUntil, state, nodes }: NameView): string {
  return [
    `${name}${label === null ? '' : ` (${label})`}, ${mode}`,
    value === null ? 'points to nothing yet' : `points to ${plain(value)}`,
    `sequence ${sequence}, ${state}${validUntil === null ? '' : `, valid until ${toSecond(validUntil)}`}`,
    `on ${nodes.reached} of ${nodes.of} nodes`,
  ].join('\n')
}

const history: Command = {
  name: 'name history',
  operands: '<name | label>',
  summary: 'What a name pointed to, the newest first',
  async run({ operands, output, signal, api }) {
    const path = `${pathOf(only(operands, 'a name'))}/records`
    const { records } = await (await api()).get<{ records: PastRecord[] }>(path, { signal })
    print(output, records, (all) =>
      output.quiet
        ? all.map(({ value }) => plain(value ?? '')).join('\n')
        : table(
            output,
            ['SEQUENCE', 'PUBLISHED', 'VALUE'],
            all.map(({ sequence, publishedAt, value }) => [sequence, toSecond(publishedAt), value ?? '']),
          ),
    )
  },
}

interface PastRecord {
  sequence: string
  value: string | null
  publishedAt: string
}

const rm: Command = {
  name: 'name rm',
  operands: '<name | label>',
  summary: 'Forget a name and its key for good; its record stays valid until it ends',
  async run({ operands, output, signal, api }) {
    const name = only(operands, 'a name')
    await (await api()).delete(pathOf(name), { signal })
    print(output, { name, removed: true }, () => (output.quiet ? '' : `removed ${name}`))
  },
}

const importKey: Command = {
  name: 'name import',
  operands: '<key file | ->',
  summary: 'Let the service keep the key of a name, as `ipfs key export` wrote it',
  options: {
    label: LABEL,
    record: { type: 'string', value: '<file>', help: 'the newest record of the name, from which its sequence goes on' },
    ...LENGTHS,
  },
  async run({ operands, flags, output, signal, api }) {
    const key = await bytesOf(only(operands, 'the file of a key'))
    const [label, record] = [textFlag(flags, 'label'), textFlag(flags, 'record')]
    const body = {
      key: key.toString('base64'),
      ...(label !== undefined && { label }),
      ...(record !== undefined && { record: (await bytesOf(record)).toString('base64') }),
      ...lengthsOf(flags),
    }
    key.fill(0)
    print(output, await (await api()).post<NameView>('/v1/names', body, { signal }), ({ name }) => name)
  },
}

async function bytesOf(file: string): Promise<Buffer> {
  try {
    const bytes = file === '-' ? await buffer(process.stdin) : await readFile(file)
    if (bytes.length > MAX_KEY_BYTES) throw new RangeError('it is too large')
    return bytes
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}

const exportKey: Command = {
  name: 'name export',
  operands: '<name | label> <file>',
  summary: 'Write the private key of a name into a new file, for `ipfs key import`',
  async run({ operands, output, signal, api }) {
    const [name, file, ...others] = operands
    if (name === undefined || file === undefined || others.length > 0) {
      throw new CommandError(EXIT.usage, 'Name the name, and the file that its key is written to.')
    }
    const answer = await (
      await api()
    ).post<{ name: string; key: string }>(`${pathOf(name)}:export`, undefined, { signal })
    await writeKey(file, Buffer.from(answer.key, 'base64'))
    print(output, { name: answer.name, file }, () =>
      output.quiet ? answer.name : `${file} has the key of ${answer.name}`,
    )
    note(output, 'Whoever has this file can publish under the name.')
  },
}

/** Readable by nobody else, and never in place of another file. */
async function writeKey(file: string, key: Buffer): Promise<void> {
  try {
    await using handle = await open(file, 'wx', 0o600)
    await handle.writeFile(key)
  } catch (cause) {
    throw new CommandError(EXIT.usage, `${file} cannot be written: ${(cause as Error).message}.`, { cause })
  } finally {
    key.fill(0)
  }
}

function pathOf(name: string): string {
  return `/v1/names/${encodeURIComponent(name)}`
}

export const nameCommands: readonly Command[] = [create, publish, ls, get, history, rm, importKey, exportKey]
