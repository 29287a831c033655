import { z } from 'zod'
import { GatewayRules } from './gateway-rules.ts'

/**
 * The exchange between a storage node and the control plane: one HTTP call, `POST /cluster/sync`, long-polled.
 * Out go the heartbeat, reports on work and the inventory; in come work and the directory. All of it is idempotent:
 * a report names its lease and is dropped when the lease is no longer current, work is level-triggered ("hold this root",
 * "release this root") and harmless to receive twice. Times are lengths in milliseconds, never clocks of either side.
 */

/** A root: CIDv1, base32. */
const Root = z.string().max(512)
const Count = z.number().int().nonnegative()
const PublicKey = z.base64url().length(43)

/** Who a node is, sent at registration. `proof` is an Ed25519 signature over {@link registrationMessage}. */
export const Registration = z.strictObject({
  publicKey: PublicKey.describe('Ed25519, 32 bytes'),
  joinToken: z.string().optional().describe('Needed the first time'),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    .optional(),
  labels: z.record(z.string().max(32), z.string().max(64)),
  capacityBytes: Count,
  transfer: z.string().max(256).describe('host:port of its transfer listener (TLS)'),
  gateway: z.string().max(256).describe('URL of its gateway'),
  challenge: z.string().max(128).describe('From `POST /cluster/challenge`; good once'),
  proof: z.base64url(),
})
export type Registration = z.infer<typeof Registration>

/** Answer of `POST /cluster/challenge`. */
export const Challenge = z.strictObject({ challenge: z.string().max(128) })

export function registrationMessage(challenge: string, publicKey: string): string {
  return `holdfast register ${challenge} ${publicKey}`
}

export const Registered = z.strictObject({
  nodeId: z.number().int(),
  name: z.string(),
  /** Grows with each registration; the session before is void from then on. */
  epoch: z.number().int(),
  /** Bearer token of this session's `sync` calls. */
  session: z.string(),
})
export type Registered = z.infer<typeof Registered>

export const Beat = z.strictObject({
  capacityBytes: Count,
  freeBytes: Count,
  storedBytes: Count,
  blocks: Count,
  roots: Count,
  refusal: z.string().max(500).optional().describe('Why the store takes no writes just now'),
  peerId: z.string().max(128).optional().describe('libp2p identity of its peer process, when that runs'),
  addresses: z.array(z.string().max(256)).max(16).describe('Multiaddrs of its peer process, each ending in /p2p/…'),
})
export type Beat = z.infer<typeof Beat>

const workKey = { contentId: z.string(), lease: z.string() }

export const Report = z.discriminatedUnion('outcome', [
  z
    .strictObject({
      outcome: z.literal('progress'),
      ...workKey,
      bytes: Count,
      blocks: Count,
      phase: z.string().max(64),
    })
    .describe('Keeps the lease'),
  z
    .strictObject({ outcome: z.literal('stored'), ...workKey, bytes: Count, blocks: Count })
    .describe('Whole and durable; verification goes on under the same lease'),
  z
    .strictObject({ outcome: z.literal('verified'), ...workKey, bytes: Count, blocks: Count })
    .describe('Every block read back from disk and hashed'),
  z.strictObject({ outcome: z.literal('released'), ...workKey }),
  z.strictObject({
    outcome: z.literal('failed'),
    ...workKey,
    code: z.string().max(64),
    message: z.string().max(1_000),
    /** The content itself is refused (malformed, too deep, over the quota): trying again cannot help. */
    permanent: z.boolean(),
  }),
])
export type Report = z.infer<typeof Report>

/** A slice of what the node holds, in the order of root CIDs' bytes; `after` is the last root of the slice before. */
export const InventorySlice = z.strictObject({
  after: Root.optional(),
  roots: z.array(z.strictObject({ root: Root, bytes: Count, blocks: Count })).max(1_000),
  /** No root comes after these. */
  done: z.boolean(),
})
export type InventorySlice = z.infer<typeof InventorySlice>

/** Some blocks of a root are to be answered for; see core/proof/challenge.ts. */
export const PossessionChallenge = z.strictObject({
  id: z.string().regex(/^\d{1,18}$/),
  root: Root,
  nonce: z.string().regex(/^0x[0-9a-f]{64}$/),
  subjects: z.array(PublicKey).min(1).max(8).describe('Whose challenges: its own, and those of others that it checks'),
})
export type PossessionChallenge = z.infer<typeof PossessionChallenge>

export const PossessionReport = z.strictObject({
  id: z.string().regex(/^\d{1,18}$/),
  /** Of the whole DAG; both 0 when the node does not hold it. */
  blocks: Count,
  bytes: Count,
  answers: z
    .array(
      z.strictObject({
        subject: PublicKey,
        /** 32 bytes for each place; zeros for a block that it does not have. */
        answers: z.base64url().max(2_560),
        /** Over `possessionMessage`. */
        signature: z.base64url().length(86),
      }),
    )
    .max(8),
})
export type PossessionReport = z.infer<typeof PossessionReport>

export const SyncRequest = z.strictObject({
  beat: Beat,
  reports: z.array(Report).max(1_000),
  possessions: z.array(PossessionReport).max(100).optional().describe('Answers to challenges'),
  challenges: z.number().int().min(0).max(100).optional().describe('How many challenges it takes now'),
  inventory: InventorySlice.optional(),
  damaged: z
    .array(Root)
    .max(1_000)
    .optional()
    .describe('Roots of which its disk spoiled a block: its copies of them stand for nothing until they are read back'),
  /** How many further pieces of work it takes now; 0 asks for none. */
  slots: z.number().int().min(0).max(256),
  /** How many of these may be roots that no node has: looking for them in the network takes long. Absent: all. */
  seeks: z.number().int().min(0).max(256).optional(),
  /** Version of the directory it has. */
  directory: z.string().max(64),
  /** Version of the gateway's rules it has; without it none are sent. */
  rules: z.string().max(64).optional(),
  /** Where the feed of names was said to end, as far as it was told; without it nothing is told. */
  names: z.string().max(64).optional(),
  /** How long the answer may be held back while there is nothing to say. */
  waitMs: z.number().int().min(0).max(30_000),
})
export type SyncRequest = z.infer<typeof SyncRequest>

export const Work = z.discriminatedUnion('verb', [
  z
    .strictObject({
      verb: z.literal('hold'),
      ...workKey,
      root: Root,
      leaseMs: Count,
      /** Names of nodes that hold it, the best first. Empty: get it from the network. */
      sources: z.array(z.string()),
      /** Multiaddrs that the owner named, hints for the network. */
      origins: z.array(z.string()),
      maxBytes: Count,
    })
    .describe('Have the whole DAG durable and verified; what is there already is only verified'),
  z.strictObject({ verb: z.literal('release'), ...workKey, root: Root, leaseMs: Count }),
])
export type Work = z.infer<typeof Work>

export const DirectoryNode = z.strictObject({
  name: z.string(),
  publicKey: z.string(),
  labels: z.record(z.string(), z.string()),
  transfer: z.string(),
  gateway: z.string(),
  addresses: z.array(z.string()),
  liveness: z.enum(['up', 'suspect', 'down']),
})
export type DirectoryNode = z.infer<typeof DirectoryNode>

/** Who is in the cluster. Nodes keep the last one on disk and go on with it while the control plane is away. */
export const Directory = z.strictObject({
  version: z.string(),
  nodes: z.array(DirectoryNode),
  /** Ed25519 public keys of control-plane processes, which may send uploads to a node. */
  controllers: z.array(z.string()),
})
export type Directory = z.infer<typeof Directory>

export const SyncResponse = z.strictObject({
  work: z.array(Work),
  /** Present when there are any, and the node takes some. */
  challenges: z.array(PossessionChallenge).optional(),
  /** Present when it differs from the version the node named. */
  directory: Directory.optional(),
  /** Present when they differ from the version the node named. */
  rules: GatewayRules.optional(),
  /** Where the feed of names (core/name-feed.ts) ends, when the node does not know it yet. */
  names: z.string().max(64).optional(),
  /** The database's time: milliseconds since 1970. */
  clockMs: z.number().optional(),
  /** The node shall send its inventory from the start (after registration, and daily). */
  inventoryWanted: z.boolean(),
  /** Leases among the reports that were no longer current: that work is to be stopped. */
  stale: z.array(z.string()),
})
export type SyncResponse = z.infer<typeof SyncResponse>
