import { z } from 'zod'

/**
 * Names that nodes are to serve: the newest record of each name that an account has. With `sync` a node is told how far
 * the feed goes; it gets what came since in pages, keeps it, and goes on with it while the control plane is away.
 */

/** Where somebody is in the feed. Versions grow; those of another feed mean nothing. */
export const FeedPlace = z.strictObject({ feed: z.uuid(), version: z.number().int().nonnegative() })
export type FeedPlace = z.infer<typeof FeedPlace>

/** The text by which `sync` tells where the feed ends. */
export function placeText({ feed, version }: FeedPlace): string {
  return `${feed}:${version}`
}

/** The beginning, for whoever has nothing. */
export const FEED_BEGIN: FeedPlace = { feed: '00000000-0000-0000-0000-000000000000', version: 0 }

/** Names in a page. A record has at most 10 KiB, and most have 400 bytes. */
export const NAMES_IN_PAGE = 256

export const NamePage = z.strictObject({
  /** Where the reader is once it has the page. */
  at: FeedPlace,
  names: z
    .array(z.strictObject({ name: z.string().max(128), record: z.base64().max(16_384) }))
    .max(NAMES_IN_PAGE)
    .describe('Records as they were signed; none: there is nothing more just now'),
})
export type NamePage = z.infer<typeof NamePage>

/** Who serves the names that the feed brings. */
export interface NameSink {
  /** Serves a record from now on if it is newer than the known one. @throws INVALID_RECORD, INVALID_NAME */
  offer(name: string, record: Uint8Array): void
  /** Keeps it on disk. @throws INVALID_RECORD, INVALID_NAME; STORAGE_FULL, STORAGE_FAILED */
  keep(name: string, record: Uint8Array): Promise<void>
}
