import type { IdentifyResult, PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { SECOND_MS } from '../core/units.ts'
import { readOrigins, type Origin, type Origins } from './origins.ts'
import type { Peer } from './peer.ts'

/** What was tried to find peers that have a DAG: the figures of the sentence that a failed pin gets. */
export interface SeekReport {
  origins: { given: number; reached: number; ignored: Origins['ignored'] }
  /** Peers that the DHT names. */
  providers: { found: number; reached: number }
  /** Peers we were connected to already, or that connected meanwhile, which were asked whether they have the root. */
  connected: { asked: number; have: number }
}

export interface SeekOptions {
  origins: readonly string[]
  /** Ends the search. */
  signal: AbortSignal
  onSource(peer: PeerId): void
}

const BITSWAP = '/ipfs/bitswap/1.2.0'
const DIAL_TIMEOUT_MS = 10 * SECOND_MS
const PRESENCE_TIMEOUT_MS = 5 * SECOND_MS
const LOOKUP_TIMEOUT_MS = 30 * SECOND_MS
const MAX_PROVIDERS = 20
const MAX_ASKED = 64

/**
 * Looks for peers that have the root in all ways at once: the origins that the pin names, the DHT, and the peers we
 * are connected to (a pin's owner connects to us; that also finds those behind a NAT, who cannot be dialled).
 * Until `signal` aborts it goes on asking peers that connect.
 * @returns what is being tried, filled in as it goes, and a promise that resolves when all of it has been tried
 */
export function seek(peer: Peer, root: CID, options: SeekOptions): { report: SeekReport; done: Promise<void> } {
  const { origins, ignored } = readOrigins(options.origins)
  const report: SeekReport = {
    origins: { given: options.origins.length, reached: 0, ignored },
    providers: { found: 0, reached: 0 },
    connected: { asked: 0, have: 0 },
  }
  askNewcomers(peer, root, options, report)
  const searches = [
    ...origins.map((origin) => reach(peer, origin, options, report.origins)),
    lookUp(peer, root, options, report),
    askConnected(peer, root, options, report),
  ]
  return { report, done: settled(searches) }
}

async function settled(searches: Promise<void>[]): Promise<void> {
  await Promise.all(searches)
}

/** Asks the DHT who provides the CID, and connects to them. Never rejects. */
export async function lookUp(peer: Peer, cid: CID, options: SeekOptions, report: SeekReport): Promise<void> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(LOOKUP_TIMEOUT_MS)])
  const reaching: Promise<void>[] = []
  try {
    for await (const provider of peer.libp2p.contentRouting.findProviders(cid, { signal })) {
      if (provider.id.equals(peer.id)) continue
      report.providers.found += 1
      reaching.push(reach(peer, { peer: provider.id, addresses: [] }, options, report.providers))
      if (reaching.length === MAX_PROVIDERS) break
    }
  } catch (err) {
    peer.log.debug({ err, cid: cid.toString() }, 'the DHT look-up ended early')
  }
  await Promise.all(reaching)
}

/** Connects to a peer, at the addresses that the peer store has when none are given. Never rejects. */
async function reach(peer: Peer, target: Origin, options: SeekOptions, tally: { reached: number }): Promise<void> {
  if (target.peer.equals(peer.id)) return
  try {
    if (peer.libp2p.getConnections(target.peer).length === 0) {
      await peer.libp2p.dial(target.addresses.length > 0 ? target.addresses : target.peer, {
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]),
      })
    }
  } catch (err) {
    peer.log.debug({ err, target: target.peer.toString() }, 'a peer cannot be dialled')
    return
  }
  tally.reached += 1
  options.onSource(target.peer)
}

async function askConnected(peer: Peer, root: CID, options: SeekOptions, report: SeekReport): Promise<void> {
  const asked: Promise<void>[] = []
  for (const connected of peer.libp2p.getPeers()) {
    if (asked.length === MAX_ASKED) break
    if (await speaksBitswap(peer, connected)) asked.push(askPresence(peer, connected, root, options, report))
  }
  await Promise.all(asked)
}

function askNewcomers(peer: Peer, root: CID, options: SeekOptions, report: SeekReport): void {
  const onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (report.connected.asked >= MAX_ASKED || !detail.protocols.includes(BITSWAP)) return
    void askPresence(peer, detail.peerId, root, options, report)
  }
  peer.libp2p.addEventListener('peer:identify', onIdentify)
  options.signal.addEventListener('abort', () => peer.libp2p.removeEventListener('peer:identify', onIdentify))
}

async function speaksBitswap(peer: Peer, target: PeerId): Promise<boolean> {
  try {
    return (await peer.libp2p.peerStore.get(target)).protocols.includes(BITSWAP)
  } catch {
    return false
  }
}

async function askPresence(
  peer: Peer,
  target: PeerId,
  root: CID,
  options: SeekOptions,
  report: SeekReport,
): Promise<void> {
  report.connected.asked += 1
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const takeBack = peer.wants.presence(target, root, ({ kind }) => resolve(kind === 'have' || kind === 'block'))
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(PRESENCE_TIMEOUT_MS)])
  const onAbort = (): void => resolve(false)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  const has = await promise
  signal.removeEventListener('abort', onAbort)
  takeBack()
  if (!has) return
  report.connected.have += 1
  options.onSource(target)
}
