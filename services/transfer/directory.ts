/** Where a node's transfer listener is, and by which key it proves to be that node. */
export interface TransferAddress {
  /** Ed25519, base64url. */
  publicKey: string
  host: string
  port: number
}

/** Who is in the cluster, as far as connections need to know. Read at each use, so that changes count at once. */
export interface TransferDirectory {
  /** The node of that name; undefined when there is none. */
  node(name: string): TransferAddress | undefined
  /** What the holder of the key is to us; undefined for a stranger, with whom we do not speak. */
  roleOf(publicKey: string): PeerRole | undefined
}

/** `controller`: a process of the control plane, which may send uploads. */
export type PeerRole = 'node' | 'controller'
