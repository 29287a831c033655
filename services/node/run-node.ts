import { join } from 'node:path'
import type { BlockStore, StoreOptions } from '../blocks/contract.ts'
import type { NameSink } from '../core/name-feed.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import type { Registered } from '../core/sync.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import { authority } from '../runtime/http/server.ts'
import type { Log } from '../runtime/log.ts'
import { supervisePeer, type PeerCommand, type SupervisedPeer } from './peer-process.ts'
import { openTransferClient, type TransferClient } from '../transfer/client.ts'
import { openTransferServer } from '../transfer/server.ts'
import { runAgent } from './agent.ts'
import { BeatSource } from './beat.ts'
import { collectLoop } from './collect.ts'
import { connectControl } from './control-client.ts'
import { DamageWatch } from './damage.ts'
import { dhtValues, topicValues } from './network-values.ts'
import { DirectoryFile } from './directory-file.ts'
import { hearTopics, type HearRecord } from './hear-topics.ts'
import { intake } from './intake.ts'
import { Inventory } from './inventory.ts'
import { Jobs } from './jobs.ts'
import { NamesFeed } from './names-feed.ts'
import { meetNeighbours } from './neighbours.ts'
import { Outbox } from './outbox.ts'
import { Possessions } from './possessions.ts'
import { RulesFolder } from './rules-folder.ts'

export interface NodeConfig {
  /** Folder of the node's state. */
  folder: string
  /** Undefined: the control plane makes one of the region. */
  name: string | undefined
  labels: Record<string, string>
  /** Bytes that the node offers; undefined: all of its disk. */
  capacityBytes: number | undefined
  controlUrl: string
  joinToken: string | undefined
  /** Address that the transfer listener binds to. */
  host: string
  /** 0: any free port. */
  transferPort: number
  /** host:port under which other nodes reach it; undefined: the bound one. */
  transferAddress: string | undefined
  /** Rate of copies that others make from here; undefined: no limit. */
  repairBytesPerSecond: number | undefined
  /** How long content that no root wants is kept. */
  graceMs: number
  peer: PeerCommand
}

/** What a node consists of, for whoever else lives in its process. */
export interface NodeParts {
  store: BlockStore
  transferClient: TransferClient
  directory: DirectoryFile
  /** What the gateway goes by. */
  rules: RulesFolder
  peer: SupervisedPeer
}

export interface NodeDependencies {
  identity: NodeIdentity
  log: Log
  openStore: (folder: string, options: Pick<StoreOptions, 'onQuarantine'>) => Promise<BlockStore>
  /**
   * Starts the gateway over the node's parts, and answers its public URL, what takes the names that it is to serve, and
   * what takes newer records of others. It is stopped before they are.
   */
  startGateway: (parts: NodeParts) => Promise<AsyncDisposable & { url: string; names: NameSink; hear: HearRecord }>
  /** Told of each registration. */
  onRegistered: (registered: Registered) => void
}

/**
 * Runs a storage node until aborted: store, peer process, transfer, gateway, agent. What was started last is stopped
 * first, so that nothing is cut off from what it works with.
 * @throws CONFIG, STORAGE_FAILED when something cannot be opened
 */
export async function runNode(config: NodeConfig, dependencies: NodeDependencies, signal: AbortSignal): Promise<void> {
  const { identity, log } = dependencies
  await using opened = new AsyncDisposableStack()
  const damage = new DamageWatch()
  const store = opened.use(await dependencies.openStore(join(config.folder, 'blocks'), { onQuarantine: damage.found }))
  const directory = await DirectoryFile.open(join(config.folder, 'directory.json'))
  const rules = await RulesFolder.open(join(config.folder, 'rules'))
  const peer = opened.use(supervisePeer(config.peer, { log, maxRssBytes: MAX_PEER_BYTES }))
  const transferClient = opened.use(openTransferClient({ identity, directory }))
  let epoch = 0
  let name = config.name ?? ''
  const server = opened.use(
    await openTransferServer({
      store,
      identity,
      directory,
      host: config.host,
      port: config.transferPort,
      routes: [intake({ store, rules, log, epoch: () => epoch }), dhtValues(peer.client), topicValues(peer.client)],
      ...(config.repairBytesPerSecond === undefined ? {} : { bulkBytesPerSecond: config.repairBytesPerSecond }),
    }),
  )
  const gateway = opened.use(await dependencies.startGateway({ store, transferClient, directory, rules, peer }))
  const names = await NamesFeed.open(join(config.folder, 'names-feed.json'), gateway.names, { log })
  const outbox = new Outbox()
  const jobs = opened.use(new Jobs({ store, client: transferClient, peer: peer.client, outbox, rules, log }))
  const possessions = opened.use(new Possessions({ store, identity, outbox, log }))
  const beats = new BeatSource({ store, peer: peer.client, capacityBytes: config.capacityBytes })

  const stop = new AbortController()
  const running = AbortSignal.any([signal, stop.signal])
  const agent = runAgent({
    control: connectControl(config.controlUrl),
    identity,
    about: {
      ...(config.joinToken === undefined ? {} : { joinToken: config.joinToken }),
      ...(config.name === undefined ? {} : { name: config.name }),
      labels: config.labels,
      capacityBytes: beats.capacityBytes(),
      transfer: config.transferAddress ?? authority(config.host, server.port),
      gateway: gateway.url,
    },
    directory,
    rules,
    names,
    jobs,
    possessions,
    outbox,
    inventory: new Inventory(store),
    beat: () => beats.next(),
    onRegistered(registered) {
      epoch = registered.epoch
      name = registered.name
      dependencies.onRegistered(registered)
    },
    log,
    signal: running,
  })
  const everyMs = Math.min(LONGEST_COLLECT_MS, Math.max(SECOND_MS, config.graceMs / COLLECTS_PER_GRACE))
  const collecting = collectLoop(store, { graceMs: config.graceMs, everyMs, log, signal: running })
  const meeting = meetNeighbours({
    directory,
    peer: peer.client,
    ownName: () => name,
    everyMs: MEET_MS,
    log,
    signal: running,
  })
  const mending = damage.run(store, { outbox, log, signal: running })
  const hearing = hearTopics({ peer: peer.client, hear: gateway.hear, log, signal: running })
  const all = [agent, collecting, meeting, mending, hearing]
  try {
    await Promise.all(all)
  } finally {
    stop.abort()
    await Promise.allSettled(all)
  }
}

/** A peer that has grown beyond this leaks. */
const MAX_PEER_BYTES = 1_536 * 1_024 * 1_024
const LONGEST_COLLECT_MS = 10 * MINUTE_MS
/** Connections that were lost are made again so soon. */
const MEET_MS = 10 * SECOND_MS
const COLLECTS_PER_GRACE = 4
