import type { BlockSink } from '../core/block-source.ts'
import { imported, type AddOptions, type Imported } from './add-file.ts'
import { checkFree, placeDirectory, placeFile, type TreeDirectory } from './directory-tree.ts'
import { FileImporter } from './file-importer.ts'
import { ImportRecord } from './import-record.ts'
import { DEFAULT_PROFILE, profileNamed } from './profile.ts'
import { parseUploadPath } from './upload-path.ts'
import { DirectoryWriter } from './write-directory.ts'

export interface DirectoryItem {
  /** Relative, with `/` between names; see {@link parseUploadPath}. */
  path: string
  /** The file's bytes. Without them the path is an (empty) directory. */
  content?: AsyncIterable<Uint8Array>
}

/**
 * Imports a directory from items that stream in one after the other, as the parts of a multipart body do: the next item is
 * asked for only when the content of the one before was read to its end. The root holds the paths; names above them all,
 * such as the folder that a browser sends along, are not taken off. No items make an empty directory.
 * @throws BAD_REQUEST for a path that is refused, appears twice, or leads through a file
 */
export async function addDirectory(
  items: AsyncIterable<DirectoryItem> | Iterable<DirectoryItem>,
  sink: BlockSink,
  options: AddOptions = {},
): Promise<Imported> {
  const profile = profileNamed(options.profile ?? DEFAULT_PROFILE)
  const record = new ImportRecord(profile.cidVersion)
  const importer = new FileImporter(sink, record, profile, options.signal)
  const tree: TreeDirectory = new Map()
  let size = 0
  for await (const { path, content } of items) {
    options.signal?.throwIfAborted()
    const segments = parseUploadPath(path)
    if (content === undefined) {
      placeDirectory(tree, segments)
      continue
    }
    checkFree(tree, segments)
    const file = await importer.add(content)
    size += file.size
    placeFile(tree, segments, { number: record.numberOf(file.cid) as number, tsize: file.tsize })
  }
  const { number } = await new DirectoryWriter(sink, record, profile).write(tree)
  return imported(record.cid(number), size, record)
}
