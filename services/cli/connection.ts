import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, EXIT } from './exit-codes.ts'

/** Where the service is and how to speak to it. */
export interface Service {
  /** Without a slash at the end. */
  url: string
  /** Empty when none is known. */
  token: string
}

export interface ConnectionOptions {
  url?: string | undefined
  token?: string | undefined
  gateway?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** What this machine knows of a service: the API unless it is unknown, and gateways to read from, the preferred first. */
export interface Connection {
  service: Service | undefined
  gateways: string[]
}

/**
 * Flags win over HOLDFAST_URL, HOLDFAST_TOKEN and HOLDFAST_GATEWAY, which win over the `ready.json` of a local cluster
 * (in HOLDFAST_DATA, else `./.holdfast`). The local cluster's token goes to the local cluster only.
 * @throws CommandError with `usage` for what is no URL or no token
 */
export async function findConnection(options: ConnectionOptions, environment: Environment): Promise<Connection> {
  const setting = (name: string): string | undefined => environment[name] || undefined
  const local = await readLocalCluster(setting('HOLDFAST_DATA') ?? './.holdfast')
  const named = options.url ?? setting('HOLDFAST_URL')
  const url = named === undefined ? local?.api : baseOf(named)
  const own = local !== undefined && url === local.api ? local : undefined
  const gateway = options.gateway ?? setting('HOLDFAST_GATEWAY')
  const token = options.token ?? setting('HOLDFAST_TOKEN') ?? own?.token ?? ''
  return {
    service: url === undefined ? undefined : { url, token: tokenOf(token) },
    gateways: gateway === undefined ? (own?.nodes.map((node) => node.gateway) ?? []) : [baseOf(gateway)],
  }
}

/** @throws CommandError with `usage` */
export function knownService({ service }: Connection): Service {
  if (service !== undefined) return service
  throw new CommandError(
    EXIT.usage,
    'No service is known. Start one with `npm start`, or say where it is with --url or HOLDFAST_URL.',
  )
}

interface LocalCluster {
  api: string
  token: string
  nodes: { gateway: string }[]
}

async function readLocalCluster(folder: string): Promise<LocalCluster | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, 'ready.json'), 'utf8')) as LocalCluster
  } catch {
    return undefined
  }
}

/** A token is sent in a header: what cannot stand there is a mistake in copying. */
function tokenOf(text: string): string {
  if (/^[\x21-\x7e]*$/.test(text.trim())) return text.trim()
  throw new CommandError(EXIT.usage, 'The token holds characters that no token has.')
}

function baseOf(text: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new CommandError(EXIT.usage, `${JSON.stringify(text)} is no URL such as https://holdfast.example.`)
  }
  return (url.origin + url.pathname).replace(/\/+$/, '')
}
