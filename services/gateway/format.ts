import { HoldfastError } from '../core/errors.ts'

/**
 * In what form content is asked for. `auto` leaves it to the content: files as they are, directories as pages.
 * https://specs.ipfs.tech/http-gateways/path-gateway/#format-request-query-parameter
 */
export type Format = 'auto' | 'html' | 'raw' | 'car' | 'tar' | 'dag-json' | 'dag-cbor' | 'json' | 'cbor' | 'ipns-record'

export const MEDIA_TYPE_OF = {
  raw: 'application/vnd.ipld.raw',
  car: 'application/vnd.ipld.car',
  tar: 'application/x-tar',
  'dag-json': 'application/vnd.ipld.dag-json',
  'dag-cbor': 'application/vnd.ipld.dag-cbor',
  json: 'application/json',
  cbor: 'application/cbor',
  'ipns-record': 'application/vnd.ipfs.ipns-record',
} as const satisfies Record<Exclude<Format, 'auto' | 'html'>, string>

type NamedFormat = keyof typeof MEDIA_TYPE_OF

const FORMAT_OF: ReadonlyMap<string, Format> = new Map<string, Format>([
  ...Object.entries(MEDIA_TYPE_OF).map(([format, type]): [string, Format] => [type, format as NamedFormat]),
  ['text/html', 'html'],
])

/** One entry of an `Accept` header. */
interface Accepted {
  type: string
  /** Names in lower case. */
  parameters: Map<string, string>
  quality: number
}

export interface Negotiated {
  format: Format
  /** The format was chosen by `Accept` alone, so that the answer names the URL that always gives it. */
  byAccept: boolean
  /** Parameters of the `Accept` entry of CAR, such as `order` and `dups`; they hold also beside `?format=car`. */
  carParameters: ReadonlyMap<string, string>
}

/**
 * The format that a request asks for. The URL wins over `Accept` (IPIP-523).
 * @throws BAD_REQUEST for a `format` that does not exist
 */
export function negotiate(formatParameter: string | null, accept: string | undefined): Negotiated {
  const accepted = accept === undefined || accept === '*/*' ? [] : parseAccept(accept)
  const carParameters = accepted.find(({ type }) => type === MEDIA_TYPE_OF.car)?.parameters ?? NO_PARAMETERS
  if (formatParameter !== null) return { format: namedFormat(formatParameter), byAccept: false, carParameters }
  const format = preferred(accepted)
  return { format, byAccept: format !== 'auto' && format !== 'html', carParameters }
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map()

function namedFormat(name: string): Format {
  if (Object.hasOwn(MEDIA_TYPE_OF, name)) return name as NamedFormat
  const known = Object.keys(MEDIA_TYPE_OF).join(', ')
  throw new HoldfastError(
    'BAD_REQUEST',
    `There is no format ${JSON.stringify(name.slice(0, 32))}. Known are: ${known}.`,
  )
}

/** The most wanted type that we know; on a tie the first. Anything else leaves the choice to the content. */
function preferred(accepted: readonly Accepted[]): Format {
  let best: Format = 'auto'
  let bestQuality = 0
  for (const { type, quality } of accepted) {
    const format = FORMAT_OF.get(type)
    if (format === undefined || quality <= bestQuality) continue
    best = format
    bestQuality = quality
  }
  return best
}

function parseAccept(header: string): Accepted[] {
  return header.split(',').map((entry) => {
    const [type = '', ...rest] = entry.split(';')
    const parameters = new Map(rest.map(parseParameter))
    const quality = Number(parameters.get('q') ?? '1')
    return { type: type.trim().toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 0 }
  })
}

function parseParameter(text: string): [string, string] {
  const [name = '', value = ''] = text.split('=', 2)
  return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')]
}
