/** Channels of wake-ups that the scheduler speaks on, besides those in catalog/wake.ts. */

/** A node has something to do; the key is its number. */
export const NODE = 'node'
/** Nodes came, went, or are reached differently. */
export const DIRECTORY = 'directory'
/** Pins of a tenant changed their status; the key is the tenant's number. */
export const PINS = 'pins'
