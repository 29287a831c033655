import { join } from 'node:path'

/** Where things are in a store's folder. */

export const indexFolder = (folder: string): string => join(folder, 'index')
export const segmentFolder = (folder: string): string => join(folder, 'segments')
export const lockFile = (folder: string): string => join(folder, 'writer.lock')
export const probeFile = (folder: string): string => join(folder, 'probe')

const SEGMENT_NAME = /^(\d{8,10})\.sections$/

export function segmentFile(folder: string, segment: number): string {
  return join(segmentFolder(folder), `${String(segment).padStart(8, '0')}.sections`)
}

/** The number of a segment by its file's name; undefined for other files. */
export function segmentOfName(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
