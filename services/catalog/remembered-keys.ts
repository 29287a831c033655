import { MINUTE_MS } from '../core/units.ts'
import type { MasterKey } from './master-key.ts'

/** For so long a key service may be away without anybody noticing, and so long a key is in memory after its use. */
const REMEMBERED_MS = 5 * MINUTE_MS
const MOST = 10_000

/**
 * A master key that asks for each key of a tenant once in a while: what was unwrapped is remembered for a bounded time, and
 * overwritten then. All who want the same key at once share one call; a call that fails is not remembered.
 */
export function rememberUnwrapped(
  master: MasterKey,
  { rememberedMs = REMEMBERED_MS, most = MOST }: { rememberedMs?: number; most?: number } = {},
): MasterKey {
  const known = new Map<string, Promise<Buffer>>()
  const forget = async (name: string, key: Promise<Buffer>): Promise<void> => {
    if (known.get(name) === key) known.delete(name)
    ;(await key).fill(0)
  }
  return {
    id: master.id,
    wrap: (secret, about) => master.wrap(secret, about),
    async unwrap(wrapped, about) {
      const name = `${about} ${Buffer.from(wrapped).toString('base64')}`
      let key = known.get(name)
      if (key === undefined) {
        key = master.unwrap(wrapped, about)
        const asked = key
        known.set(name, asked)
        const [oldest] = known
        if (known.size > most && oldest !== undefined) void forget(...oldest).catch(() => {})
        asked.then(
          () => setTimeout(() => void forget(name, asked), rememberedMs).unref(),
          () => known.delete(name),
        )
      }
      // The caller overwrites what it gets.
      return Buffer.from(await key)
    },
  }
}
