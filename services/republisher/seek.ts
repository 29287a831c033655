import type { Database } from '../catalog/database.ts'
import { gatewaysUp, takeFound, takeSoughtNames } from '../catalog/names-sought.ts'
import { parseIpnsName } from '../naming/ipns-name.ts'
import { decodeIpnsRecord, validateIpnsRecord } from '../naming/ipns-record.ts'
import { compareRecords } from '../naming/newer-record.ts'
import { revalidatedRecords } from '../naming/router-records.ts'
import { shownTarget } from '../naming/target.ts'
import type { Log } from '../runtime/log.ts'

/** Names that are asked for at once. */
const SLICE = 16
/** A node resolves by all that it has, so that a second one is asked only when the first does not answer. */
const NODES_ASKED = 2

/**
 * Asks nodes for newer records of names whose key is elsewhere, and takes those that it finds. One slice.
 * @returns how many it asked for, and how many records were new
 */
export async function seek(
  db: Database,
  { everyMs, log, signal }: { everyMs: number; log: Log; signal: AbortSignal },
): Promise<{ asked: number; taken: number }> {
  const gateways = (await gatewaysUp(db)).slice(0, NODES_ASKED)
  if (gateways.length === 0) return { asked: 0, taken: 0 }
  const names = await takeSoughtNames(db, SLICE, everyMs)
  const found = await Promise.all(names.map((name) => seekOne(db, { name, gateways, log, signal })))
  return { asked: names.length, taken: found.filter(Boolean).length }
}

async function seekOne(
  db: Database,
  { name: text, gateways, log, signal }: { name: string; gateways: readonly string[]; log: Log; signal: AbortSignal },
): Promise<boolean> {
  const name = parseIpnsName(text)
  for (const gateway of gateways) {
    try {
      const bytes = await revalidatedRecords(gateway).get(name, { signal })
      return (
        bytes !== undefined &&
        (await takeFound(db, text, (held) => {
          const record = validateIpnsRecord(name, bytes, held.nowMs)
          const isNewer =
            held.record === undefined
              ? record.sequence >= held.sequence
              : compareRecords(record, decodeIpnsRecord(held.record.bytes)) > 0
          return isNewer ? { ...record, target: shownTarget(record) } : undefined
        }))
      )
    } catch (error) {
      signal.throwIfAborted()
      log.debug({ err: error, name: text, gateway }, 'a node gave no record of a name')
    }
  }
  return false
}
