import type { BlockBroker, Helia } from 'helia'
import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'

/**
 * The parts of @helia/bitswap 4 that carry the protocol: its wire format, streams and ledgers.
 *
 * Its public face decides for itself which peer to ask: `want` sends every want to all connected peers (n peers that
 * have a block send it n times) and looks providers up for each block; a session asks all of its peers at once and
 * evicts for ever those that lost (research/helia-engine.md 2.5 to 2.7). Holdfast asks one peer at a time and hears
 * DONT_HAVE, so it talks to these parts. They are not exported: the version is pinned exactly, and
 * `bitswapPort` refuses to start when their shape is not the one below.
 */
export interface BitswapPort {
  network: {
    /** Opens a stream to the peer (dialling it if need be) and sends; joins a message that waits for the same peer. */
    sendMessage(peer: PeerId, message: OutgoingMessage, options?: { signal?: AbortSignal }): Promise<void>
  }
  wantList: {
    /** What peers answer to wants. A block's CID is computed from its bytes. */
    addEventListener(type: 'presence', listener: (event: CustomEvent<Presence>) => void): void
  }
  peerWantLists: {
    receiveMessage(peer: PeerId, message: IncomingMessage): void
    ledgerForPeer(peer: PeerId): { sendQueue: { onIdle(): Promise<void> } } | undefined
    /** Who has sent us wants and is still connected. */
    peers(): PeerId[]
    wantListForPeer(peer: PeerId): LedgerWant[] | undefined
  }
}

export interface Presence {
  sender: PeerId
  cid: CID
  has: boolean
  block?: Uint8Array
}

/** An entry of a want list (Bitswap 1.2.0). */
export interface WantEntry {
  cid: Uint8Array
  priority: number
  cancel?: boolean
  wantType?: 'WantBlock' | 'WantHave'
  sendDontHave?: boolean
}

/** A want in the ledger of a peer; `want`: nothing was sent for it, because we lack the block. */
interface LedgerWant extends Required<Pick<WantEntry, 'priority' | 'wantType' | 'sendDontHave'>> {
  cid: CID
  status: 'want' | 'sending' | 'sent'
}

export interface IncomingMessage {
  wantlist?: { entries: WantEntry[]; full?: boolean } | undefined
  blocks: { data: Uint8Array }[]
  blockPresences: object[]
  pendingBytes: number
}

/** As the library's send queue merges them: by the multibase text of the multihash. */
export interface OutgoingMessage {
  full: boolean
  pendingBytes: number
  wantlist: Map<string, WantEntry>
  blocks: Map<string, { data: Uint8Array; prefix: Uint8Array }>
  blockPresences: Map<string, object>
}

/**
 * Catches the bitswap broker that `withBitswap` adds while Helia starts.
 * @returns a function that answers the port, once Helia has started
 */
export function catchBitswap(helia: Helia): () => BitswapPort {
  const add = helia.addBlockBroker.bind(helia)
  let caught: unknown
  helia.addBlockBroker = (broker: Parameters<Helia['addBlockBroker']>[0]) => {
    if ((broker as BlockBroker).name === 'bitswap') caught = broker
    add(broker)
  }
  return () => bitswapPort(caught)
}

function bitswapPort(broker: unknown): BitswapPort {
  const port = (broker as { bitswap?: Partial<BitswapPort> } | undefined)?.bitswap
  const isWhole =
    typeof port?.network?.sendMessage === 'function' &&
    typeof port.wantList?.addEventListener === 'function' &&
    typeof port.peerWantLists?.receiveMessage === 'function' &&
    typeof port.peerWantLists.ledgerForPeer === 'function' &&
    typeof port.peerWantLists.peers === 'function' &&
    typeof port.peerWantLists.wantListForPeer === 'function'
  if (!isWhole) throw new HoldfastError('INTERNAL_ERROR', 'This version of @helia/bitswap is not the one we know.')
  return port as BitswapPort
}
