import type { CID } from 'multiformats/cid'
import type { Abortable, BlockSink, ManifestEntry } from '../core/block-source.ts'
import { FileImporter } from './file-importer.ts'
import { ImportRecord } from './import-record.ts'
import { DEFAULT_PROFILE, profileNamed, type ProfileName } from './profile.ts'

export interface AddOptions extends Abortable {
  /** @default unixfs-v1-2025 */
  profile?: ProfileName
}

export interface Imported {
  root: CID
  /** Bytes of the content: of the file, or of all files of the directory, those with equal content each counted. */
  size: number
  /** All blocks under the root, in the order in which a root is committed. Nothing is read for it; can be read again. */
  manifest: Iterable<ManifestEntry>
}

/**
 * Imports one file as it streams in, and puts its blocks into the sink, children before parents. Holds some chunks of the
 * file at a time. The CID is the one that Kubo gives with the same profile.
 */
export async function addFile(
  content: AsyncIterable<Uint8Array>,
  sink: BlockSink,
  options: AddOptions = {},
): Promise<Imported> {
  const profile = profileNamed(options.profile ?? DEFAULT_PROFILE)
  const record = new ImportRecord(profile.cidVersion)
  const importer = new FileImporter(sink, record, profile, options.signal)
  const { cid, size } = await importer.add(content)
  return imported(cid, size, record)
}

/** What an import answers: the manifest comes from the record, each time it is read. */
export function imported(root: CID, size: number, record: ImportRecord): Imported {
  return { root, size, manifest: { [Symbol.iterator]: () => record.manifest(root) } }
}
