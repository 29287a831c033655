import { RecentMap } from '../core/recent-map.ts'
import type { GossipPort, IncomingRpc } from './gossip-port.ts'
import { WorkPace } from './work-pace.ts'

/** What one peer may have us do: a message costs 1 (two signatures are checked), and so do twenty smaller pieces. */
const WORK_PER_SECOND = 100
const PIECES_PER_WORK = 20
/** Peers whose share is remembered, far more than are connected: coming back gives nobody a new one. */
const REMEMBERED_PEERS = 4_096
/** Topics told in one message: receivers drop those that are longer than 1 MiB, or name more than 5,000. */
const TOPICS_IN_MESSAGE = 1_000

export interface GossipPace {
  /** Whether we are in the topic. Messages of other topics are dropped before anything of them is checked. */
  isOurs: (topic: string) => boolean
  /** Bytes of a message's data; longer ones are dropped likewise. */
  maxBytes: number
  signal: AbortSignal
}

/**
 * Bounds what gossip costs. A peer that sends faster than its share is read no faster: it waits, others do not, and what
 * is not read here is held back by the peer itself. To be called before the first subscription.
 */
export function paceGossip(port: GossipPort, { isOurs, maxBytes, signal }: GossipPace): void {
  const handle = port.handleReceivedRpc.bind(port)
  const send = port.sendSubscriptions.bind(port)
  const paces = new RecentMap<string, WorkPace>(REMEMBERED_PEERS)

  port.handleReceivedRpc = async (from, rpc) => {
    const sent = 1 + piecesIn(rpc) + rpc.messages.length
    rpc.messages = rpc.messages.filter(({ topic, data }) => isOurs(topic) && (data?.length ?? 0) <= maxBytes)
    const peer = from.toString()
    const pace = paces.get(peer) ?? new WorkPace(WORK_PER_SECOND)
    paces.set(peer, pace)
    await pace.take(rpc.messages.length + sent / PIECES_PER_WORK, signal)
    if (!signal.aborted) await handle(from, rpc)
  }
  port.sendSubscriptions = (toPeer, topics, isSubscribed) => {
    // The newest first: a peer that notes only so many of each of its peers notes those.
    const newestFirst = topics.toReversed()
    for (let from = 0; from < newestFirst.length; from += TOPICS_IN_MESSAGE) {
      send(toPeer, newestFirst.slice(from, from + TOPICS_IN_MESSAGE), isSubscribed)
    }
  }
}

function piecesIn({ subscriptions, control }: IncomingRpc): number {
  const lists = [subscriptions, control?.ihave, control?.iwant, control?.graft, control?.prune, control?.idontwant]
  return lists.reduce((count, list) => count + (list?.length ?? 0), 0)
}
