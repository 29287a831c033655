import type { IpnsName } from '../naming/ipns-name.ts'
import { putToRouter } from '../naming/router-records.ts'

/** Somebody who is told records, so that the world finds them: the DHT, PubSub, a delegated router. */
export interface PutTarget {
  /** In rows and log lines. */
  readonly id: string
  /** How often it is told a record that it took. @default 4 h, as Kubo tells the DHT */
  readonly putEveryMs?: number
  /**
   * Tells it one record.
   * @returns how many peers took it, where there are several
   * @throws HoldfastError when it was not taken; the signal's reason
   */
  put(name: IpnsName, record: Uint8Array, options: { signal: AbortSignal }): Promise<number | undefined>
}

/** A delegated router. @param url without `/routing/v1` */
export function routerTarget(url: string): PutTarget {
  return {
    id: url,
    async put(name, record, options) {
      await putToRouter(url, name, record, options)
      return undefined
    },
  }
}
