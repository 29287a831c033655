import { setTimeout as sleep } from 'node:timers/promises'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { HoldfastError } from '../core/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../core/units.ts'
import type { Log } from './log.ts'

const FIRST_RETRY_MS = SECOND_MS
const LAST_RETRY_MS = MINUTE_MS

/** How long one attempt may take, name look-up and handshake included. */
const DIAL_TIMEOUT_MS = 15 * SECOND_MS

/** A peer to stay connected to. */
export interface Anchor {
  peer: PeerId
  address: Multiaddr
}

/**
 * Connects to each anchor and dials it again, with growing pauses, whenever the connection is lost. (libp2p's own
 * keep-alive gives up after five attempts.) Resolves when `signal` aborts.
 */
export async function stayConnected(
  libp2p: Libp2p,
  anchors: readonly Anchor[],
  options: { signal: AbortSignal; log: Log },
): Promise<void> {
  const others = anchors.filter(({ peer }) => !peer.equals(libp2p.peerId))
  await Promise.all(others.map((anchor) => hold(libp2p, anchor, options)))
}

/** @throws CONFIG when the text is no multiaddr that ends in `/p2p/…` */
export function readAnchor(text: string): Anchor {
  try {
    const address = multiaddr(text)
    return {
      address,
      peer: peerIdFromString(address.getComponents().findLast((part) => part.name === 'p2p')?.value ?? ''),
    }
  } catch (cause) {
    throw new HoldfastError('CONFIG', `${text} is not a multiaddr that ends in /p2p/ and a peer id.`, { cause })
  }
}

async function hold(libp2p: Libp2p, anchor: Anchor, { signal, log }: { signal: AbortSignal; log: Log }): Promise<void> {
  let retryMs = FIRST_RETRY_MS
  while (!signal.aborted) {
    try {
      await libp2p.dial(anchor.address, { signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]) })
      retryMs = FIRST_RETRY_MS
      await untilLost(libp2p, anchor.peer, signal)
    } catch (err) {
      if (signal.aborted) return
      log.debug({ err, address: anchor.address.toString() }, 'a bootstrap peer cannot be reached')
      await sleep(retryMs, undefined, { signal }).catch(() => {})
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
    }
  }
}

async function untilLost(libp2p: Libp2p, peer: PeerId, signal: AbortSignal): Promise<void> {
  if (libp2p.getConnections(peer).length === 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const onDisconnect = (event: CustomEvent<PeerId>): void => {
    if (event.detail.equals(peer)) resolve()
  }
  const onAbort = (): void => resolve()
  libp2p.addEventListener('peer:disconnect', onDisconnect)
  signal.addEventListener('abort', onAbort)
  await promise
  libp2p.removeEventListener('peer:disconnect', onDisconnect)
  signal.removeEventListener('abort', onAbort)
}
