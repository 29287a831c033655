import { HoldfastError } from '../core/errors.ts'
import { routingKeyOf } from '../core/routing-key.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import type { RecordStream } from '../naming/ask-at-once.ts'
import type { PeerClient } from '../swarm/client.ts'

/** Each asks some twenty peers for seconds, and anybody can have one made by asking for a name. */
const MAX_WALKS = 64

/**
 * Records that peers of the DHT have, through the node's peer process. While many names are looked for, further ones are
 * not: that fails with UNAVAILABLE, and other sources are left.
 */
export function dhtRecords(client: Pick<PeerClient, 'findValues'>, { maxWalks = MAX_WALKS } = {}): RecordStream {
  let walks = 0
  async function* find(name: IpnsName, options: { signal: AbortSignal }): AsyncGenerator<Uint8Array, void> {
    if (walks >= maxWalks) throw new HoldfastError('UNAVAILABLE', 'Many names are looked for in the DHT; try again.')
    walks += 1
    try {
      yield* client.findValues(routingKeyOf(name), options)
    } finally {
      walks -= 1
    }
  }
  return { label: 'dht', find }
}
