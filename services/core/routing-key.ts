import type { MultihashDigest } from 'multiformats'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'

const PREFIX = Buffer.from('/ipns/')

/** The key under which routing systems (DHT, pubsub) know the record of an IPNS name: `/ipns/` and the binary multihash. */
export function routingKeyOf({ multihash }: { multihash: MultihashDigest }): Uint8Array {
  return Buffer.concat([PREFIX, multihash.bytes])
}

/** {@link routingKeyOf} a name in its canonical form. @throws Error when it is none */
export function routingKeyOfText(name: string): Uint8Array {
  return routingKeyOf(CID.parse(name, base36))
}

/** The binary multihash in a routing key; undefined when it is the key of something else. */
export function multihashInRoutingKey(key: Uint8Array): Uint8Array | undefined {
  return PREFIX.equals(key.subarray(0, PREFIX.length)) ? key.subarray(PREFIX.length) : undefined
}
