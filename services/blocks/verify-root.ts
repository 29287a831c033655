import type { CID } from 'multiformats/cid'
import type { Abortable, ManifestEntry } from '../core/block-source.ts'
import { toV1 } from '../core/cid.ts'
import { hasCode } from '../core/errors.ts'
import { MIB } from '../core/units.ts'
import type { BlockIndex } from './block-index.ts'
import { loadSections, locate, type Located } from './block-loader.ts'
import type { RootCheck } from './contract.ts'
import { readManifest } from './manifest.ts'
import { ReadBuffer } from './read-buffer.ts'
import type { BlockReads } from './reads.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Blocks and bytes that are read at once. */
const STEP_BLOCKS = 512
const STEP_BYTES = MIB

interface Parts {
  index: BlockIndex
  segments: SegmentFiles
  reads: Pick<BlockReads, 'get'>
}

/** Reads and hashes every block of a root, in the order of its manifest. Undefined when the root is not held, or released meanwhile. */
export async function verifyRoot(
  parts: Parts,
  root: CID,
  options: Abortable & { onProgress?: (bytes: number) => void },
): Promise<RootCheck | undefined> {
  const key = toV1(root).bytes
  const held = parts.index.root(key)
  if (held === undefined) return undefined
  const check: RootCheck = { blocks: 0, bytes: 0, bad: [] }
  const room = new ReadBuffer()
  for (const step of stepsOf(readManifest(parts.index, held.serial, 0, Number.POSITIVE_INFINITY))) {
    options.signal?.throwIfAborted()
    check.bad.push(...(await badOf(parts, step, room, options)))
    check.blocks += step.length
    check.bytes += step.reduce((sum, { length }) => sum + length, 0)
    options.onProgress?.(check.bytes)
  }
  return parts.index.root(key)?.serial === held.serial ? check : undefined
}

function* stepsOf(entries: Iterable<ManifestEntry>): Generator<ManifestEntry[]> {
  let step: ManifestEntry[] = []
  let bytes = 0
  for (const entry of entries) {
    step.push(entry)
    bytes += entry.length
    if (step.length < STEP_BLOCKS && bytes < STEP_BYTES) continue
    yield step
    step = []
    bytes = 0
  }
  if (step.length > 0) yield step
}

async function badOf(
  parts: Parts,
  step: readonly ManifestEntry[],
  room: ReadBuffer,
  options: Abortable,
): Promise<CID[]> {
  const found: Located[] = []
  const doubtful: CID[] = []
  for (const { cid } of step) {
    const row = locate(parts.index, cid)
    if (row === undefined) doubtful.push(cid)
    else found.push({ cid, row })
  }
  const { sections } = await loadSections(parts.segments, found, room)
  doubtful.push(...found.filter((_, i) => sections[i] === undefined).map(({ cid }) => cid))
  const bad: CID[] = []
  for (const cid of doubtful) if (!(await isReadable(parts, cid, options))) bad.push(cid)
  return bad
}

/** Asks by the way of `get`, which finds a block that was moved meanwhile and quarantines a corrupt one. */
async function isReadable({ reads }: Parts, cid: CID, options: Abortable): Promise<boolean> {
  try {
    return (await reads.get(cid, options)) !== undefined
  } catch (error) {
    if (hasCode(error, 'CORRUPT_BLOCK')) return false
    throw error
  }
}
