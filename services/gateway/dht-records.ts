import { routingKeyOf } from '../core/routing-key.ts'
import type { RecordStream } from '../naming/ask-at-once.ts'
import type { PeerClient } from '../swarm/client.ts'

/** Records that peers of the DHT have, through the node's peer process. */
export function dhtRecords(client: Pick<PeerClient, 'findValues'>): RecordStream {
  return {
    label: 'dht',
    find: (name, options) => client.findValues(routingKeyOf(name), options),
  }
}
