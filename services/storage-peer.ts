import { join, resolve } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockReader } from './blocks/contract.ts'
import { SECOND_MS } from './core/units.ts'
import { RestrictedBlocks } from './gateway/restricted-blocks.ts'
import { isWithheld } from './gateway/withheld.ts'
import { ipnsValues } from './naming/dht-values.ts'
import { recordsIn } from './naming/record-store.ts'
import { RulesFolder } from './node/rules-folder.ts'
import { runPeer } from './peer/main.ts'
import { peerSocket } from './peer/socket-path.ts'
import type { Config } from './runtime/config.ts'
import { loadIdentity } from './runtime/identity.ts'
import type { Log } from './runtime/log.ts'
import { loop } from './runtime/loop.ts'

/** Where the node keeps records of names: of accounts, of those that anybody put there, and of others that were found. */
const RECORD_FOLDERS = ['hosted-names', 'names', 'found-names']

/** Runs the node's peer process, its door to the IPFS network, over the store that the node writes. */
export async function runPeerProcess(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const folder = resolve(config.HOLDFAST_DATA)
  const identity = await loadIdentity(join(folder, 'node.key'))
  const rules = await RulesFolder.open(join(folder, 'rules'))
  const stop = new AbortController()
  const isPublic = config.HOLDFAST_DHT_PROTOCOL === '/ipfs/kad/1.0.0'
  const running = runPeer(
    {
      seed: identity.seed,
      socketPath: peerSocket(folder),
      storeFolder: join(folder, 'blocks'),
      listen: [
        `/${config.HOLDFAST_HOST.includes(':') ? 'ip6' : 'ip4'}/${config.HOLDFAST_HOST}/tcp/${config.HOLDFAST_SWARM_PORT}`,
      ],
      announce: config.HOLDFAST_ANNOUNCE,
      dht: {
        protocol: config.HOLDFAST_DHT_PROTOCOL,
        mode: 'server',
        keepPrivateAddresses: !isPublic,
        bootstrap: config.HOLDFAST_BOOTSTRAP,
        values: { ipns: ipnsValues(RECORD_FOLDERS.map((records) => recordsIn(join(folder, records)))) },
      },
      ...(config.HOLDFAST_PUBSUB ? { pubsub: { file: join(folder, 'topics') } } : {}),
      withholding: (reader) => withholding({ rules, reader, log, signal: stop.signal }),
      dial: { allowPrivate: config.HOLDFAST_DIAL_PRIVATE, deniedPorts: ownPorts(config), deniedHosts: new Set() },
      log,
    },
    signal,
  )
  try {
    await running
  } finally {
    stop.abort()
  }
}

interface WithholdingParts {
  rules: RulesFolder
  reader: BlockReader
  log: Log
  signal: AbortSignal
}

/** What the gateway does not serve to everybody, bitswap serves to nobody. The node's own process keeps the rules. */
function withholding({ rules, reader, log, signal }: WithholdingParts): (cid: CID) => boolean {
  const nobody = { manifest: () => Promise.resolve(undefined) }
  const restricted = new RestrictedBlocks({ rules, store: reader, client: nobody, nodes: () => [], log })
  void loop('rules', () => rules.refresh(), { everyMs: SECOND_MS, log, signal })
  void restricted.follow(signal)
  return (cid) => isWithheld(cid, { rules, restricted })
}

/** On one machine an origin could name the cluster's own listeners. */
function ownPorts(config: Config): Set<number> {
  const gateways = Array.from({ length: config.HOLDFAST_NODES }, (_, index) => config.HOLDFAST_GATEWAY_PORT + index)
  return new Set([config.HOLDFAST_API_PORT, config.HOLDFAST_METRICS_PORT, ...gateways])
}
