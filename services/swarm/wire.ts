import type { ProvidingFigures } from './providing.ts'

/**
 * What the peer process says over its unix domain socket (HTTP/1.1). Failures are
 * `{ "error": { "reason": CODE, "details": sentence } }` with a status of 400 or more.
 *
 * | route | body | answer |
 * |---|---|---|
 * | `GET /status` | | {@link PeerStatus} |
 * | `POST /fetch` | {@link FetchRequest} | a CARv1 of the blocks that the store lacks; a body that is cut off is a failure, and `GET /fetch/{id}/failure` tells which, by the id in the header {@link FETCH_ID_HEADER} |
 * | `GET /block/{cid}?timeoutMs=` | | the block's bytes |
 * | `POST /provide` | {@link ProvideRequest} | 202 |
 * | `GET /values/{key}` | | what peers of the DHT have under the key (base64url), as it comes in: NDJSON of {@link FoundValue}; a body that is cut off is a failure |
 * | `POST /values/{key}` | {@link PutValueRequest} | {@link PutValueAnswer} |
 * | `GET /topics/{key}` | | likewise, what members of the key's PubSub topic have; the peer joins it |
 * | `POST /topics/{key}` | {@link PutValueRequest} | {@link PutValueAnswer}: how many were sent it; the peer joins the topic |
 * | `GET /topics` | | newer values of the topics that the peer is in, as they come: NDJSON of {@link TopicNewsLine}; it does not end |
 * | `POST /connect` | {@link ConnectRequest} | {@link ConnectAnswer} |
 */
export interface PeerStatus {
  peerId: string
  /** Each ends in `/p2p/{peerId}`. */
  multiaddrs: string[]
  connections: number
  /** Peers in the routing table of the DHT. */
  dhtPeers: number
  /** Topics of PubSub that it is in. */
  topics: number
  providing: ProvidingFigures
}

export interface FetchRequest {
  root: string
  origins?: string[]
  maxBytes?: number
  maxBlocks?: number
  stallMs?: number
}

export interface ProvideRequest {
  roots: string[]
}

export interface ConnectRequest {
  /** Multiaddrs that end in `/p2p/…`, by the same rules as origins. */
  addresses: string[]
}

export interface ConnectAnswer {
  /** Peer ids that there is a connection to now. */
  connected: string[]
  ignored: { address: string; reason: string }[]
}

export interface FoundValue {
  /** base64 */
  value: string
}

export interface TopicNewsLine extends FoundValue {
  /** base64url */
  key: string
}

export interface PutValueRequest {
  /** base64 */
  value: string
}

export interface PutValueAnswer {
  /** Peers that store it now, besides this one. */
  peers: number
}

export interface FailureAnswer {
  error: { reason: string; details: string }
}

export const FETCH_ID_HEADER = 'holdfast-fetch'
export const CAR_TYPE = 'application/vnd.ipld.car'
export const NDJSON_TYPE = 'application/x-ndjson'
/** Bytes of a value of the DHT or of a topic. */
export const MAX_VALUE_BYTES = 16 * 1_024
/** Bytes of a JSON body. */
export const MAX_JSON_BYTES = 4 * 1_024 * 1_024
