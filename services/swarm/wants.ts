import type { PeerId } from '@libp2p/interface'
import { base64 } from 'multiformats/bases/base64'
import type { CID } from 'multiformats/cid'
import { SECOND_MS } from '../core/units.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { BitswapPort, OutgoingMessage, Presence, WantEntry } from './bitswap-port.ts'

/** What a peer said to one want. */
export type Answer =
  | { kind: 'block'; bytes: Uint8Array }
  | { kind: 'have' }
  | { kind: 'dont-have' }
  /** The peer could not be reached or did not take the message. */
  | { kind: 'failed'; cause: unknown }

export type OnAnswer = (answer: Answer) => void

/**
 * Wants that one peer is asked at a time. Helia's peers keep 1,024 and drop the oldest in silence beyond that, so the
 * rest waits here.
 */
const MAX_WANTS_PER_PEER = 512
const SEND_TIMEOUT_MS = 20 * SECOND_MS

interface Ask {
  cid: CID
  type: 'WantBlock' | 'WantHave'
  listeners: Set<OnAnswer>
}

interface PeerWants {
  peer: PeerId
  /** Asked, unanswered. */
  open: Map<string, Ask>
  /** Not asked yet. */
  waiting: Map<string, Ask>
  /** To be taken back; what is asked for again waits until the peer has been told. */
  cancelled: Map<string, CID>
  /** Being taken back by a message that is on its way. */
  cancelling: Set<string>
}

/**
 * Asks chosen peers for blocks by bitswap and tells who asked what they say. Wants to one peer that come together go
 * in one message; the same want by two callers is asked once.
 */
export class Wants {
  readonly #network: BitswapPort['network']
  readonly #peers = new Map<string, PeerWants>()
  readonly #unasked = new Map<string, number>()
  #isFlushQueued = false

  constructor(port: Pick<BitswapPort, 'network' | 'wantList'>) {
    this.#network = port.network
    port.wantList.addEventListener('presence', (event) => this.#hear(event.detail))
  }

  /** Asks the peer for the block. `onAnswer` is called once. Answers how to take the want back. */
  block(peer: PeerId, cid: CID, onAnswer: OnAnswer): () => void {
    return this.#ask(peer, cid, 'WantBlock', onAnswer)
  }

  /** Asks the peer whether it has the block; it may send a small block at once. */
  presence(peer: PeerId, cid: CID, onAnswer: OnAnswer): () => void {
    return this.#ask(peer, cid, 'WantHave', onAnswer)
  }

  /** Blocks that the peer has sent and nobody asked it for since it connected: late, or not what was asked for. */
  unaskedBlocksOf(peer: PeerId): number {
    return this.#unasked.get(peer.toString()) ?? 0
  }

  /** Fails what the peer was asked. Called when the last connection to it closes. */
  peerLeft(peer: PeerId): void {
    const wants = this.#peers.get(peer.toString())
    this.#peers.delete(peer.toString())
    this.#unasked.delete(peer.toString())
    if (wants === undefined) return
    const cause = new Error('the peer disconnected')
    for (const ask of [...wants.open.values(), ...wants.waiting.values()]) tell(ask, { kind: 'failed', cause })
  }

  #ask(peer: PeerId, cid: CID, type: Ask['type'], onAnswer: OnAnswer): () => void {
    const key = multihashKey(cid)
    const wants = this.#wantsOf(peer)
    const known = wants.open.get(key) ?? wants.waiting.get(key)
    const isUpgrade = known?.type === 'WantHave' && type === 'WantBlock'
    if (known !== undefined && !isUpgrade) {
      known.listeners.add(onAnswer)
    } else {
      wants.open.delete(key)
      wants.waiting.set(key, { cid, type, listeners: new Set(known?.listeners).add(onAnswer) })
      this.#flushSoon()
    }
    return () => this.#cancel(wants, key, onAnswer)
  }

  #wantsOf(peer: PeerId): PeerWants {
    const name = peer.toString()
    const known = this.#peers.get(name)
    if (known !== undefined) return known
    const made: PeerWants = {
      peer,
      open: new Map(),
      waiting: new Map(),
      cancelled: new Map(),
      cancelling: new Set(),
    }
    this.#peers.set(name, made)
    return made
  }

  #cancel(wants: PeerWants, key: string, onAnswer: OnAnswer): void {
    const ask = wants.open.get(key) ?? wants.waiting.get(key)
    if (ask === undefined || !ask.listeners.delete(onAnswer) || ask.listeners.size > 0) return
    wants.waiting.delete(key)
    if (!wants.open.delete(key)) return
    wants.cancelled.set(key, ask.cid)
    this.#flushSoon()
  }

  #hear({ sender, cid, has, block }: Presence): void {
    const wants = this.#peers.get(sender.toString())
    const key = multihashKey(cid)
    const ask = wants?.open.get(key)
    if (wants === undefined || ask === undefined) {
      if (block !== undefined) this.#countUnasked(sender)
      return
    }
    // A peer that answers HAVE to a want for the block sends the block later.
    if (block === undefined && has && ask.type === 'WantBlock') return
    wants.open.delete(key)
    if (block === undefined) {
      tell(ask, { kind: has ? 'have' : 'dont-have' })
    } else {
      // Helia's peers remember for seconds what they sent and do not send it again unless it is cancelled.
      wants.cancelled.set(key, cid)
      tell(ask, { kind: 'block', bytes: block })
    }
    this.#flushSoon()
  }

  #countUnasked(sender: PeerId): void {
    const name = sender.toString()
    this.#unasked.set(name, (this.#unasked.get(name) ?? 0) + 1)
  }

  #flushSoon(): void {
    if (this.#isFlushQueued) return
    this.#isFlushQueued = true
    setImmediate(() => {
      this.#isFlushQueued = false
      for (const [name, wants] of this.#peers) {
        if (wants.waiting.size > 0 || wants.cancelled.size > 0) void this.#send(wants)
        else if (wants.open.size === 0 && wants.cancelling.size === 0) this.#peers.delete(name)
      }
    })
  }

  async #send(wants: PeerWants): Promise<void> {
    const asked = takeAsks(wants)
    const cancelled = new Map(wants.cancelled)
    wants.cancelled.clear()
    const message = messageOf(asked.values(), cancelled.values())
    if (message.wantlist.size === 0) return
    for (const key of cancelled.keys()) wants.cancelling.add(key)
    try {
      await this.#network.sendMessage(wants.peer, message, { signal: AbortSignal.timeout(SEND_TIMEOUT_MS) })
    } catch (cause) {
      for (const [key, ask] of asked) {
        if (wants.open.get(key) !== ask) continue
        wants.open.delete(key)
        tell(ask, { kind: 'failed', cause })
      }
    }
    for (const key of cancelled.keys()) wants.cancelling.delete(key)
    if (wants.waiting.size > 0) this.#flushSoon()
  }
}

/** Moves what the peer can be asked now from waiting to open. */
function takeAsks(wants: PeerWants): Map<string, Ask> {
  const asked = new Map<string, Ask>()
  for (const [key, ask] of wants.waiting) {
    if (wants.open.size >= MAX_WANTS_PER_PEER) break
    if (wants.cancelled.has(key) || wants.cancelling.has(key)) continue
    wants.waiting.delete(key)
    wants.open.set(key, ask)
    asked.set(key, ask)
  }
  return asked
}

function tell(ask: Ask, answer: Answer): void {
  for (const listener of ask.listeners) listener(answer)
  ask.listeners.clear()
}

function messageOf(asks: Iterable<Ask>, cancelled: Iterable<CID>): OutgoingMessage {
  const wantlist = new Map<string, WantEntry>()
  for (const cid of cancelled) {
    wantlist.set(base64.encode(cid.multihash.bytes), { cid: cid.bytes, priority: 1, cancel: true })
  }
  for (const { cid, type } of asks) {
    wantlist.set(base64.encode(cid.multihash.bytes), {
      cid: cid.bytes,
      priority: 1,
      cancel: false,
      wantType: type,
      sendDontHave: true,
    })
  }
  return { full: false, pendingBytes: 0, wantlist, blocks: new Map(), blockPresences: new Map() }
}
