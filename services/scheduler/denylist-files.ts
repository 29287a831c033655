import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Database } from '../catalog/database.ts'
import { deleteDenylist, getDenylist, putDenylist } from '../catalog/denylists.ts'
import { RULES, type Wakes } from '../catalog/wake.ts'
import { hasCode } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { Log } from '../runtime/log.ts'
import { loop } from '../runtime/loop.ts'

export interface DenylistFilesOptions {
  db: Database
  wakes: Wakes
  /** Its files `{name}.deny` are the lists of those names. Made when it is not there. */
  folder: string
  log: Log
}

const EXTENSION = '.deny'
const LOOK_EVERY_MS = SECOND_MS
const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/

/**
 * Denylists that an operator keeps as files: any edit of one saves the list anew, and a file that is removed ends it. A
 * list that cannot be read is logged, and the one before stays in force.
 */
export class DenylistFiles {
  readonly #options: DenylistFilesOptions
  /** Files that were seen, with what tells that one was edited. */
  #seen = new Map<string, string>()

  constructor(options: DenylistFilesOptions) {
    this.#options = options
  }

  /** Looks every second until aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 })
    await loop('denylist-files', () => this.look(), { everyMs: LOOK_EVERY_MS, log: this.#options.log, signal })
  }

  async look(): Promise<void> {
    const { db, wakes, folder } = this.#options
    const names = (await readdir(folder)).filter((file) => file.endsWith(EXTENSION))
    const seen = new Map<string, string>()
    for (const file of names) {
      const name = basename(file, EXTENSION)
      const { mtimeMs, size, ino } = await stat(join(folder, file))
      const edition = `${mtimeMs} ${size} ${ino}`
      if (this.#seen.get(name) !== edition) await this.#save(name, join(folder, file))
      seen.set(name, edition)
    }
    const gone = [...this.#seen.keys()].filter((name) => !seen.has(name))
    this.#seen = seen
    for (const name of gone) if (await deleteDenylist(db, name)) wakes.announce(RULES)
  }

  async #save(name: string, file: string): Promise<void> {
    const { db, wakes, log } = this.#options
    if (!NAME.test(name)) {
      log.error({ file }, 'a denylist is named by lower-case letters, digits and dashes')
      return
    }
    const saved = await getDenylist(db, name)
    if (saved?.hash === (await hashOf(file))) return
    try {
      const { saved: list } = await putDenylist(db, {
        name,
        status: saved?.status ?? 410,
        text: createReadStream(file),
      })
      log.info({ name, rules: list.rules, skipped: list.skipped }, 'a denylist was saved')
      wakes.announce(RULES)
    } catch (error) {
      if (!hasCode(error, 'BAD_REQUEST', 'PAYLOAD_TOO_LARGE')) throw error
      log.error({ err: error, file }, 'a denylist cannot be read')
    }
  }
}

async function hashOf(file: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(file)) digest.update(chunk as Buffer)
  return digest.digest('hex')
}
