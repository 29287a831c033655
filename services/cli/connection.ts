import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, EXIT } from './exit-codes.ts'

/** Where the service is and how to speak to it. */
export interface Connection {
  api: string
  token: string
  /** Gateways to read from, the preferred first; may be empty when only the API is known. */
  gateways: string[]
}

export interface ConnectionOptions {
  url?: string | undefined
  token?: string | undefined
  gateway?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Flags win over HOLDFAST_URL, HOLDFAST_TOKEN and HOLDFAST_GATEWAY, which win over the `ready.json` of a local cluster
 * (in HOLDFAST_DATA, else `./.holdfast`).
 */
export async function findConnection(options: ConnectionOptions, environment: Environment): Promise<Connection> {
  const local = await readLocalCluster(environment['HOLDFAST_DATA'] ?? './.holdfast')
  const api = options.url ?? environment['HOLDFAST_URL'] ?? local?.api
  if (api === undefined) {
    throw new CommandError(
      EXIT.usage,
      'No service is known. Start one with `npm start`, or say where it is with --url or HOLDFAST_URL.',
    )
  }
  const isLocal = local !== undefined && api === local.api
  const gateway = options.gateway ?? environment['HOLDFAST_GATEWAY']
  return {
    api: api.replace(/\/+$/, ''),
    token: options.token ?? environment['HOLDFAST_TOKEN'] ?? (isLocal ? local.token : ''),
    gateways: gateway === undefined ? (isLocal ? local.nodes.map((node) => node.gateway) : []) : [gateway],
  }
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
