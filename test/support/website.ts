import { openAsBlob } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { spreadFilm } from './spread-film.ts'

const FOLDER = resolve(import.meta.dirname, '../fixtures/site')
const FILM = 'film.mp4'
/** 600 chunks make 12 MB, several times what a browser reads ahead. */
const ROOM_BYTES = 20_000
/** The film begins black, and gets lighter by so many of 255 shades of grey each second, for a minute. */
export const SHADES_PER_SECOND = 4.25

/** A site of many pages as a form for upload. */
export async function websiteForm(): Promise<FormData> {
  const form = new FormData()
  for (const entry of await readdir(FOLDER, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const path = relative(FOLDER, file)
    const content = path === FILM ? new Blob([spreadFilm(await readFile(file), ROOM_BYTES)]) : await openAsBlob(file)
    form.append('file', content, path)
  }
  return form
}
