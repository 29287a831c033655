import type { IpnsName } from './ipns-name.ts'
import type { IpnsRecord } from './ipns-record.ts'
import type { RecordSource } from './record-source.ts'

/** The newest record of each name, on this node's disk. One process writes; any number may read. */
export interface RecordStore extends RecordSource {
  /**
   * Keeps a verified record if it is newer than the one that is there; it is on disk when this resolves.
   * @returns the newest of the two, which is what the store now has
   * @throws STORAGE_FULL when it has as many names as it may have, or the disk is full; STORAGE_FAILED
   */
  put(name: IpnsName, record: IpnsRecord): Promise<IpnsRecord>
}
