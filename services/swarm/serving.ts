import { setImmediate } from 'node:timers/promises'
import type { PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES } from '../core/limits.ts'
import { multihashKey } from '../dag/multihash-key.ts'
import type { BitswapPort, IncomingMessage, WantEntry } from './bitswap-port.ts'

/** Bytes of blocks that are loaded for one peer at a time, or one block. */
const SLICE_BYTES = MAX_BLOCK_BYTES
/** Entries handed over at a time; those for blocks that we lack cost no memory. */
const SLICE_ENTRIES = 256
/** Peers that blocks are loaded for at the same time, which bounds the memory of all of them. */
const MAX_SERVED_PEERS = 32
/** Wants that one peer can have waiting with us; what comes beyond is not served. */
const MAX_WAITING_WANTS = 4_096

interface Want {
  cid: CID
  entry: WantEntry
}

interface Served {
  peer: PeerId
  waiting: Map<string, Want>
  isRunning: boolean
}

export interface ServingOptions {
  /** Bytes of a block that we store; undefined when we do not. */
  sizeOf: (cid: CID) => number | undefined
  isConnected: (peer: PeerId) => boolean
  /** Blocks that are not for the network: wants for them are not answered. @default all are */
  isWithheld?: ((cid: CID) => boolean) | undefined
}

export interface Serving {
  /**
   * Serves wants for blocks that we lacked when they came and have now. To be called when content has come: who was told
   * DONT_HAVE waits for us to say otherwise, and Kubo asks again only after most of a minute.
   */
  lookAgain(): Promise<void>
  /** Wants of a peer that were not answered with a block. */
  wantsOf(peer: PeerId): number
}

/**
 * Hands a peer's wants to bitswap's ledger a few at a time. The ledger loads every block of the wants that it is given
 * before it sends the first: 1,024 wants for blocks of 1 MiB, as a plain Helia sends for a file of 1 GiB, would cost
 * 1 GiB of memory, and all of it would have to leave within one send timeout.
 */
export function paceServing(ledgers: BitswapPort['peerWantLists'], options: ServingOptions): Serving {
  const receive = ledgers.receiveMessage.bind(ledgers)
  const served = new Map<string, Served>()
  const turns = new Turns(MAX_SERVED_PEERS)
  let looking: Promise<void> | undefined
  let isLookDue = false

  ledgers.receiveMessage = (peer: PeerId, message: IncomingMessage) => {
    const { wantlist } = message
    takeBack(peer)
    if (wantlist === undefined || wantlist.entries.length === 0) return receive(peer, message)
    const mine = servedOf(peer)
    if (wantlist.full === true) mine.waiting.clear()
    const cancels = wantlist.entries.filter((entry) => entry.cancel === true)
    for (const entry of wantlist.entries) queue(mine.waiting, entry)
    // Carries the account of blocks received and what is for the ledger at once.
    receive(peer, { ...message, wantlist: { entries: cancels, full: wantlist.full ?? false } })
    if (!mine.isRunning) void serve(mine)
  }

  /** Any message makes the ledger load all that it owes: what has come since goes to the end of our line instead. */
  function takeBack(peer: PeerId): void {
    const owed = (ledgers.wantListForPeer(peer) ?? []).filter(
      ({ status, cid }) => status === 'want' && options.sizeOf(cid) !== undefined,
    )
    if (owed.length === 0) return
    const mine = servedOf(peer)
    const cancels = owed.map(({ cid }) => ({ cid: cid.bytes, priority: 1, cancel: true }))
    receive(peer, { wantlist: { entries: cancels, full: false }, blocks: [], blockPresences: [], pendingBytes: 0 })
    for (const { cid, priority, wantType, sendDontHave } of owed) {
      queue(mine.waiting, { cid: cid.bytes, priority, wantType, sendDontHave })
    }
    if (!mine.isRunning) void serve(mine)
  }

  async function look(): Promise<void> {
    while (isLookDue) {
      isLookDue = false
      for (const peer of ledgers.peers()) {
        takeBack(peer)
        await setImmediate()
      }
    }
    looking = undefined
  }

  function servedOf(peer: PeerId): Served {
    const name = peer.toString()
    const known = served.get(name)
    if (known !== undefined) return known
    const made: Served = { peer, waiting: new Map(), isRunning: false }
    served.set(name, made)
    return made
  }

  async function serve(mine: Served): Promise<void> {
    mine.isRunning = true
    while (mine.waiting.size > 0 && options.isConnected(mine.peer)) {
      await turns.take()
      try {
        const entries = takeSlice(mine.waiting, options)
        receive(mine.peer, { wantlist: { entries, full: false }, blocks: [], blockPresences: [], pendingBytes: 0 })
        await ledgers.ledgerForPeer(mine.peer)?.sendQueue.onIdle()
      } finally {
        turns.give()
      }
    }
    mine.isRunning = false
    served.delete(mine.peer.toString())
  }

  return {
    lookAgain() {
      isLookDue = true
      looking ??= look()
      return looking
    },
    wantsOf: (peer) => (ledgers.wantListForPeer(peer) ?? []).filter(({ status }) => status === 'want').length,
  }
}

function queue(waiting: Map<string, Want>, entry: WantEntry): void {
  const cid = decoded(entry.cid)
  if (cid === undefined) return
  const key = multihashKey(cid)
  if (entry.cancel === true) waiting.delete(key)
  else if (waiting.size < MAX_WAITING_WANTS) waiting.set(key, { cid, entry })
}

function decoded(cid: Uint8Array): CID | undefined {
  try {
    return CID.decode(cid)
  } catch {
    return undefined
  }
}

function takeSlice(waiting: Map<string, Want>, { sizeOf, isWithheld }: ServingOptions): WantEntry[] {
  const slice: WantEntry[] = []
  let bytes = 0
  for (const [key, { cid, entry }] of waiting) {
    if (isWithheld?.(cid) === true) {
      waiting.delete(key)
      continue
    }
    bytes += sizeOf(cid) ?? 0
    if (slice.length > 0 && (bytes > SLICE_BYTES || slice.length === SLICE_ENTRIES)) break
    waiting.delete(key)
    slice.push(entry)
  }
  return slice
}

/** Lets a number of takers in at a time, the others in the order they came. */
class Turns {
  #free: number
  readonly #queue: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve))
  }

  give(): void {
    const next = this.#queue.shift()
    if (next === undefined) this.#free += 1
    else next()
  }
}
