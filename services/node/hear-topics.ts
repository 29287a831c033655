import { hasCode } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { pause } from '../runtime/loop.ts'
import type { PeerClient } from '../swarm/client.ts'

/** Takes a record by its routing key. @throws INVALID_RECORD, INVALID_NAME */
export type HearRecord = (key: Uint8Array, record: Uint8Array) => Promise<void>

export interface HearTopicsOptions {
  peer: Pick<PeerClient, 'hearTopics'>
  hear: HearRecord
  log: Log
  signal: AbortSignal
}

/** The peer process starts anew within seconds. */
const AGAIN_MS = SECOND_MS

/** Has newer records served that the peer hears by PubSub, as soon as they come. Ends at once on a node without PubSub. */
export async function hearTopics({ peer, hear, log, signal }: HearTopicsOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const { key, value } of peer.hearTopics({ signal })) {
        await hear(key, value).catch((err: unknown) => log.warn({ err }, 'a record that was heard is not taken'))
      }
    } catch (error) {
      if (hasCode(error, 'NOT_IMPLEMENTED')) return
      if (!signal.aborted) log.debug({ err: error }, 'the topics cannot be heard just now')
    }
    await pause(AGAIN_MS, signal)
  }
}
