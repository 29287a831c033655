import { parseDurationMs } from '../core/units.ts'
import { textFlag, type Command, type Invocation } from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { print, table } from './output.ts'
import { bareCid, explainPin, findPin, isRequestId, PIN_HEADINGS, pinRow, type PinView } from './pin-view.ts'
import { waitUntilPinned } from './wait.ts'

const ALL_STATUSES = 'queued,pinning,pinned,failed'
/** The largest page that the API answers. */
const PAGE = 1_000

const add: Command = {
  name: 'pin add',
  operands: '<cid…>',
  summary: 'Pin content by CID',
  options: {
    name: { type: 'string' },
    policy: { type: 'string' },
    origin: { type: 'string' },
    wait: { type: 'boolean' },
    timeout: { type: 'string', default: '30m' },
  },
  async run(invocation) {
    const { operands, flags, output, signal, connect } = invocation
    if (operands.length === 0) throw new CommandError(EXIT.usage, 'Name at least one CID.')
    const { client } = await connect()
    const [name, policy, origin] = ['name', 'policy', 'origin'].map((flag) => textFlag(flags, flag))
    for (const operand of operands) {
      const body = {
        cid: bareCid(operand),
        ...(name === undefined ? {} : { name }),
        ...(origin === undefined ? {} : { origins: [origin] }),
        ...(policy === undefined ? {} : { meta: { policy } }),
      }
      const pin = await client.post<PinView>('/psa/pins', body, { signal })
      const seen = flags['wait'] === true ? await waitUntilPinned(client, pin.requestid, waitOptions(invocation)) : pin
      print(output, seen, (shown) => (output.quiet ? shown.requestid : pinRow(shown).join('  ')))
    }
  },
}

function waitOptions({ flags, output, signal }: Invocation): {
  output: typeof output
  timeoutMs: number
  signal: AbortSignal
} {
  const timeoutMs = parseDurationMs(textFlag(flags, 'timeout') ?? '')
  if (timeoutMs === undefined) throw new CommandError(EXIT.usage, '--timeout takes a duration such as 90s or 30m.')
  return { output, timeoutMs, signal }
}

const ls: Command = {
  name: 'pin ls',
  operands: '[cid…]',
  summary: 'List pins, the newest first',
  options: {
    status: { type: 'string', default: ALL_STATUSES },
    name: { type: 'string' },
    match: { type: 'string' },
    limit: { type: 'string', default: '100' },
    all: { type: 'boolean' },
  },
  async run({ operands, flags, output, signal, connect }) {
    const { client } = await connect()
    const query = {
      cid: operands.length === 0 ? undefined : operands.map(bareCid).join(','),
      status: textFlag(flags, 'status'),
      name: textFlag(flags, 'name'),
      match: textFlag(flags, 'match'),
    }
    let left = flags['all'] === true ? Number.POSITIVE_INFINITY : wholeNumber(textFlag(flags, 'limit') ?? '', '--limit')
    const pins: PinView[] = []
    for (let before: string | undefined; left > 0;) {
      const page = { ...query, before, limit: Math.min(left, PAGE) }
      const { results } = await client.get<{ results: PinView[] }>('/psa/pins', { query: page, signal })
      pins.push(...results)
      left -= results.length
      before = results.at(-1)?.created
      if (results.length < page.limit) break
    }
    print(output, pins, (all) =>
      output.quiet ? all.map(({ pin }) => pin.cid).join('\n') : table(PIN_HEADINGS, all.map(pinRow)),
    )
  },
}

const get: Command = {
  name: 'pin get',
  operands: '<request id | cid>',
  summary: 'One pin with its policy and copies',
  async run({ operands, output, signal, connect }) {
    const { client } = await connect()
    print(output, await findPin(client, only(operands, 'a request id or CID'), signal), (pin) =>
      table(PIN_HEADINGS, [pinRow(pin)]),
    )
  },
}

const why: Command = {
  name: 'pin why',
  operands: '<request id | cid>',
  summary: 'Why a pin is where it is: copies, progress, last error, next try',
  async run({ operands, output, signal, connect }) {
    const { client } = await connect()
    print(output, await findPin(client, only(operands, 'a request id or CID'), signal), explainPin)
  },
}

const wait: Command = {
  name: 'pin wait',
  operands: '<request id | cid>',
  summary: 'Wait until a pin is pinned',
  options: { timeout: { type: 'string', default: '30m' } },
  async run(invocation) {
    const { operands, output, signal, connect } = invocation
    const { client } = await connect()
    const { requestid } = await findPin(client, only(operands, 'a request id or CID'), signal)
    print(output, await waitUntilPinned(client, requestid, waitOptions(invocation)), (pin) => pinRow(pin).join('  '))
  },
}

const rm: Command = {
  name: 'pin rm',
  operands: '<request id…>',
  summary: 'Remove pins',
  async run({ operands, output, signal, connect }) {
    if (operands.length === 0) throw new CommandError(EXIT.usage, 'Name at least one request id.')
    const { client } = await connect()
    for (const operand of operands) {
      if (!isRequestId(operand)) {
        throw new CommandError(
          EXIT.usage,
          `${operand} is not a request id; \`holdfast pin ls ${operand}\` shows the pins of a CID.`,
        )
      }
      await client.delete(`/psa/pins/${operand}`, { signal })
      print(output, { requestid: operand, removed: true }, () => (output.quiet ? '' : `removed ${operand}`))
    }
  },
}

export function only(operands: readonly string[], what: string): string {
  const [first, ...others] = operands
  if (first === undefined || others.length > 0) throw new CommandError(EXIT.usage, `Name ${what}, and only that.`)
  return first
}

function wholeNumber(text: string, flag: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CommandError(EXIT.usage, `${flag} takes a whole number from 1 on.`)
  return Number(text)
}

export const pinCommands: readonly Command[] = [add, ls, get, why, wait, rm]
