import { open, readFile, rename } from 'node:fs/promises'
import { z } from 'zod'

const Keys = z.array(z.string())

/**
 * In which order a few keys were last used, kept in a file. What a crash loses of it costs a wrong choice of what goes
 * first, nothing else.
 */
export class LastUse {
  readonly #file: string
  /** The one used longest ago first. */
  readonly #keys: Set<string>
  #isWritten = true

  private constructor(file: string, keys: readonly string[]) {
    this.#file = file
    this.#keys = new Set(keys)
  }

  /** A file that is not there or cannot be read is as good as an empty one. */
  static async open(file: string): Promise<LastUse> {
    try {
      return new LastUse(file, Keys.parse(JSON.parse(await readFile(file, 'utf8'))))
    } catch {
      return new LastUse(file, [])
    }
  }

  /** Has exactly these from now on; those it does not know count as used longest ago. */
  keepOnly(keys: readonly string[]): void {
    const known = [...this.#keys].filter((key) => keys.includes(key))
    const added = keys.filter((key) => !this.#keys.has(key))
    this.#keys.clear()
    for (const key of [...added, ...known]) this.#keys.add(key)
  }

  add(key: string): void {
    this.#keys.delete(key)
    this.#keys.add(key)
    this.#isWritten = false
  }

  /** Without effect for a key that it does not have. */
  touch(key: string): void {
    if (this.#keys.has(key)) this.add(key)
  }

  remove(key: string): void {
    if (this.#keys.delete(key)) this.#isWritten = false
  }

  oldestFirst(): string[] {
    return [...this.#keys]
  }

  /** Writes the file, whole or not at all, when it has changed. */
  async write(): Promise<void> {
    if (this.#isWritten) return
    this.#isWritten = true
    const draft = `${this.#file}.new`
    try {
      await using handle = await open(draft, 'w', 0o600)
      await handle.writeFile(JSON.stringify([...this.#keys]))
      await rename(draft, this.#file)
    } catch (error) {
      this.#isWritten = false
      throw error
    }
  }
}
