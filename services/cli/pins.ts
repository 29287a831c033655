import {
  countFlag,
  durationFlag,
  only,
  some,
  textFlag,
  textFlags,
  type Command,
  type Flags,
  type Invocation,
} from './command.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { note, print, table } from './output.ts'
import { answerWhy, describePin } from './pin-answer.ts'
import { ALL_STATUSES, findPin, isRequestId, PIN_HEADINGS, pinRow, rootOf, type PinView } from './pin-view.ts'
import { WAIT_OPTIONS, waitUntilPinned } from './wait.ts'

/** The largest page that the API answers. */
const MAX_PAGE = 1_000

const add: Command = {
  name: 'pin add',
  operands: '<cid…>',
  summary: 'Pin content by CID; prints the request id with --quiet',
  options: {
    name: { type: 'string', help: 'name of the pin' },
    policy: { type: 'string', help: 'replication policy' },
    origin: { type: 'string', multiple: true, help: 'multiaddr of a peer that has the content; may be repeated' },
    ...WAIT_OPTIONS,
  },
  async run(invocation) {
    const { operands, flags, output, signal } = invocation
    const bodies = some(operands, 'CID').map((operand) => bodyOf(rootOf(operand), flags))
    const timeoutMs = durationFlag(flags, 'timeout')
    const client = await invocation.api()
    for (const body of bodies) {
      const { requestid, ...rest } = await client.post<PinView>('/psa/pins', body, { signal })
      const { pin, problem } =
        flags['wait'] === true
          ? await waitUntilPinned(client, requestid, { output, timeoutMs, signal })
          : { pin: { requestid, ...rest }, problem: undefined }
      showPin(invocation, pin)
      if (problem !== undefined) throw problem
    }
  },
}

function bodyOf(cid: string, flags: Flags): Record<string, unknown> {
  const [name, policy] = [textFlag(flags, 'name'), textFlag(flags, 'policy')]
  const origins = textFlags(flags, 'origin')
  return {
    cid,
    ...(name === undefined ? {} : { name }),
    ...(origins.length === 0 ? {} : { origins }),
    ...(policy === undefined ? {} : { meta: { policy } }),
  }
}

function showPin({ output }: Invocation, pin: PinView): void {
  print(output, pin, (shown) => (output.quiet ? shown.requestid : table(output, PIN_HEADINGS, [pinRow(shown)])))
}

const ls: Command = {
  name: 'pin ls',
  operands: '[cid…]',
  summary: 'List pins, the newest first; prints CIDs with --quiet',
  options: {
    status: { type: 'string', default: ALL_STATUSES, help: 'only pins of these statuses' },
    name: { type: 'string', help: 'only pins of this name' },
    match: { type: 'string', help: 'how names match: exact (default), iexact, partial, ipartial' },
    limit: { type: 'string', default: '100', help: 'at most this many' },
    all: { type: 'boolean', help: 'however many there are' },
  },
  async run({ operands, flags, output, signal, api }) {
    const limit = flags['all'] === true ? Number.POSITIVE_INFINITY : countFlag(flags, 'limit')
    const query = {
      cid: operands.length === 0 ? undefined : operands.map(rootOf).join(','),
      status: textFlag(flags, 'status'),
      name: textFlag(flags, 'name'),
      match: textFlag(flags, 'match'),
    }
    const client = await api()
    const pins: PinView[] = []
    let left = 0
    do {
      const page = { ...query, before: pins.at(-1)?.created, limit: Math.min(limit - pins.length, MAX_PAGE) }
      const { results, count } = await client.get<{ results: PinView[]; count: number }>('/psa/pins', {
        query: page,
        signal,
      })
      pins.push(...results)
      left = results.length === 0 ? 0 : count - results.length
    } while (left > 0 && pins.length < limit)
    print(output, pins, (all) =>
      output.quiet ? all.map(({ pin }) => pin.cid).join('\n') : table(output, PIN_HEADINGS, all.map(pinRow)),
    )
    if (left > 0) note(output, `${left} more; --all shows them.`)
  },
}

const get: Command = {
  name: 'pin get',
  operands: '<request id | cid>',
  summary: 'One pin with its policy and copies',
  async run({ operands, output, signal, api }) {
    const named = only(operands, 'a request id or CID')
    print(output, await findPin(await api(), named, signal), (pin) => (output.quiet ? pin.pin.cid : describePin(pin)))
  },
}

const why: Command = {
  name: 'pin why',
  operands: '<request id | cid>',
  summary: 'Why a pin is where it is: copies, progress, last error, next try',
  async run({ operands, output, signal, api }) {
    const named = only(operands, 'a request id or CID')
    print(output, await findPin(await api(), named, signal), answerWhy)
  },
}

const wait: Command = {
  name: 'pin wait',
  operands: '<request id | cid>',
  summary: 'Wait until a pin is pinned',
  options: { timeout: WAIT_OPTIONS.timeout },
  async run(invocation) {
    const { operands, flags, output, signal } = invocation
    const timeoutMs = durationFlag(flags, 'timeout')
    const named = only(operands, 'a request id or CID')
    const client = await invocation.api()
    const { requestid } = await findPin(client, named, signal)
    const { pin, problem } = await waitUntilPinned(client, requestid, { output, timeoutMs, signal })
    showPin(invocation, pin)
    if (problem !== undefined) throw problem
  },
}

const rm: Command = {
  name: 'pin rm',
  operands: '<request id…>',
  summary: 'Remove pins',
  async run({ operands, output, signal, api }) {
    for (const operand of some(operands, 'request id')) {
      if (isRequestId(operand)) continue
      throw new CommandError(
        EXIT.usage,
        `${operand} is not a request id; \`holdfast pin ls ${operand}\` shows the pins of a CID.`,
      )
    }
    const client = await api()
    for (const requestid of operands) {
      await client.delete(`/psa/pins/${requestid}`, { signal })
      print(output, { requestid, removed: true }, () => (output.quiet ? '' : `removed ${requestid}`))
    }
  },
}

export const pinCommands: readonly Command[] = [add, ls, get, why, wait, rm]
