import { HoldfastError } from '../core/errors.ts'
import { routingKeyOfText } from '../core/routing-key.ts'
import { KIB } from '../core/units.ts'
import type { PeerClient } from '../swarm/client.ts'
import { answerBytes, readSmallBody } from '../transfer/answer.ts'
import type { TransferRoute } from '../transfer/server.ts'

/** "Implementations MUST reject records larger than 10 KiB." */
const MAX_RECORD_BYTES = 10 * KIB

/**
 * `POST /dht?name=`: puts a record of an IPNS name to the DHT for a controller, which has no peer of its own, and answers
 * `{ "peers": n }`: how many others took it. The peer process checks the record.
 */
export function dhtValues(peer: Pick<PeerClient, 'putValue'>): TransferRoute {
  return takesRecords('dht', (key, record, options) => peer.putValue(key, record, options))
}

/**
 * `POST /pubsub?name=`: likewise to the members of the name's PubSub topic. The peer is in the topic from then on, so that
 * those who join get the record from it.
 */
export function topicValues(peer: Pick<PeerClient, 'publishValue'>): TransferRoute {
  return takesRecords('pubsub', (key, record, options) => peer.publishValue(key, record, options))
}

function takesRecords(name: string, put: PeerClient['putValue']): TransferRoute {
  return {
    method: 'POST',
    name,
    who: 'controller',
    async handle(request, response, { url, signal }) {
      const key = keyOf(url.searchParams.get('name') ?? '')
      const record = await readSmallBody(request, MAX_RECORD_BYTES, signal)
      const peers = await put(key, record, { signal })
      answerBytes(response, Buffer.from(JSON.stringify({ peers })))
    },
  }
}

/** @throws BAD_REQUEST */
function keyOf(name: string): Uint8Array {
  try {
    return routingKeyOfText(name)
  } catch (cause) {
    throw new HoldfastError('BAD_REQUEST', 'The name must be a CIDv1 in base36.', { cause })
  }
}
