import { setTimeout as sleep } from 'node:timers/promises'
import type { IncomingRpc, GossipPort } from './gossip-port.ts'

/** What one peer may have us do: a message (whose signature is checked) costs 1, and so do twenty smaller pieces. */
const WORK_PER_SECOND = 50
const WORK_AT_ONCE = 100
const PIECES_PER_WORK = 20
/** Topics told in one message: receivers drop those that are longer than 1 MiB, or name more than 5,000. */
const TOPICS_IN_MESSAGE = 1_000

export interface GossipPace {
  /** Whether we are subscribed. Messages of other topics are dropped before anything of them is checked. */
  isOurs: (topic: string) => boolean
  /** Bytes of a message's data; longer ones are dropped likewise. */
  maxBytes: number
  signal: AbortSignal
}

/**
 * Bounds what gossip costs. A peer that sends faster than its share is read no faster, so that it waits and nothing is
 * lost; libp2p holds back what it sends meanwhile. To be called before the first subscription.
 * @returns forgets a peer, to be called when it has gone
 */
export function paceGossip(port: GossipPort, { isOurs, maxBytes, signal }: GossipPace): (peer: string) => void {
  const handle = port.handleReceivedRpc.bind(port)
  const send = port.sendSubscriptions.bind(port)
  /** When what each peer has had us do will have been paid for, on the clock of `performance.now()`. */
  const paidAt = new Map<string, number>()

  port.handleReceivedRpc = async (from, rpc) => {
    const work = workIn(rpc)
    rpc.messages = rpc.messages.filter(({ topic, data }) => isOurs(topic) && (data?.length ?? 0) <= maxBytes)
    const peer = from.toString()
    const now = performance.now()
    const paid =
      Math.max(paidAt.get(peer) ?? 0, now - (WORK_AT_ONCE / WORK_PER_SECOND) * 1_000) + (work / WORK_PER_SECOND) * 1_000
    paidAt.set(peer, paid)
    if (paid > now) await sleep(paid - now, undefined, { signal }).catch(() => {})
    if (!signal.aborted) await handle(from, rpc)
  }
  port.sendSubscriptions = (toPeer, topics, isSubscribed) => {
    // The newest first: a peer that keeps only so many of each of its peers keeps those.
    const newestFirst = topics.toReversed()
    for (let from = 0; from < newestFirst.length; from += TOPICS_IN_MESSAGE) {
      send(toPeer, newestFirst.slice(from, from + TOPICS_IN_MESSAGE), isSubscribed)
    }
  }
  return (peer) => void paidAt.delete(peer)
}

function workIn({ subscriptions, messages, control }: IncomingRpc): number {
  const lists = [subscriptions, control?.ihave, control?.iwant, control?.graft, control?.prune, control?.idontwant]
  const pieces = lists.reduce((count, list) => count + (list?.length ?? 0), 0)
  return 1 + messages.length + pieces / PIECES_PER_WORK
}
