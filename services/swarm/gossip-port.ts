import type { PeerId } from '@libp2p/interface'
import type { GossipSub } from '@libp2p/gossipsub'
import { HoldfastError } from '../core/errors.ts'

/**
 * The parts of @libp2p/gossipsub 17 where what peers send comes in, and where our subscriptions go out.
 *
 * Its public face has no limit on what one peer may have us check, and tells a new peer all subscriptions in one message,
 * which receivers drop whole when it is too long. The version is pinned exactly, and {@link gossipPort} refuses to start
 * when their shape is not the one below.
 */
export interface GossipPort {
  /** Everything that a peer sends. With `awaitRpcHandler` nothing more is read from the peer until it has resolved. */
  handleReceivedRpc(from: PeerId, rpc: IncomingRpc): Promise<void>
  sendSubscriptions(toPeer: string, topics: string[], isSubscribed: boolean): void
}

export interface IncomingRpc {
  subscriptions?: object[]
  messages: { topic: string; data?: Uint8Array }[]
  control?: { [Kind in 'ihave' | 'iwant' | 'graft' | 'prune' | 'idontwant']?: object[] }
}

/** @throws INTERNAL_ERROR when the library is another one */
export function gossipPort(gossip: GossipSub): GossipPort {
  const port = gossip as Partial<GossipPort> & GossipSub
  if (typeof port.handleReceivedRpc !== 'function' || typeof port.sendSubscriptions !== 'function') {
    throw new HoldfastError('INTERNAL_ERROR', 'This version of @libp2p/gossipsub is not the one we know.')
  }
  return port as GossipPort
}
