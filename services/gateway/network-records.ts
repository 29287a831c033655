import { HoldfastError } from '../core/errors.ts'
import { routingKeyOf } from '../core/routing-key.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import type { RecordStream } from '../naming/ask-at-once.ts'
import type { PeerClient } from '../swarm/client.ts'

/** Each walk of the DHT asks some twenty peers for seconds, and anybody can have one made by asking for a name. */
const MAX_WALKS = 64
/** Each asks eight peers that we are connected with, and puts the node into a topic. */
const MAX_TOPICS_ASKED = 64

interface Limit {
  /** Names that are looked for at the same time. */
  atOnce?: number
}

/**
 * Records that peers of the DHT have, through the node's peer process. While many names are looked for, further ones are
 * not: that fails with UNAVAILABLE, and other sources are left.
 */
export function dhtRecords(client: Pick<PeerClient, 'findValues'>, { atOnce = MAX_WALKS }: Limit = {}): RecordStream {
  return limited('dht', atOnce, (key, options) => client.findValues(key, options))
}

/** Likewise those that members of the name's PubSub topic have. The node is in the topic from then on. */
export function topicRecords(
  client: Pick<PeerClient, 'findInTopic'>,
  { atOnce = MAX_TOPICS_ASKED }: Limit = {},
): RecordStream {
  return limited('pubsub', atOnce, (key, options) => client.findInTopic(key, options))
}

function limited(label: string, atOnce: number, findValues: PeerClient['findValues']): RecordStream {
  let searches = 0
  async function* find(name: IpnsName, options: { signal: AbortSignal }): AsyncGenerator<Uint8Array, void> {
    if (searches >= atOnce) throw new HoldfastError('UNAVAILABLE', `Many names are looked for (${label}); try again.`)
    searches += 1
    try {
      yield* findValues(routingKeyOf(name), options)
    } finally {
      searches -= 1
    }
  }
  return { label, find }
}
