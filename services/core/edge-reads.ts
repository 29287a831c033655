/**
 * What gateways of a node read of roots that its own store does not have: the measure of whether a copy of such a root
 * pays. A gateway in a process of its own sends these over its channel, so that they are plain JSON.
 */
export interface EdgeReads {
  /** Root (version 1, base32) and bytes, each root once. */
  roots: [root: string, bytes: number][]
  /** CIDs of blocks of the edge cache that did not match. */
  spoiled: string[]
}
