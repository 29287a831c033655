import { readFile, rename, writeFile } from 'node:fs/promises'

/** The keys of topics, one a line; none when there is no file or it cannot be read. */
export async function readTopics(file: string): Promise<Uint8Array[]> {
  try {
    const lines = (await readFile(file, 'latin1')).split('\n').filter((line) => line !== '')
    return lines.map((line) => Buffer.from(line, 'base64url'))
  } catch {
    return []
  }
}

/** Whole or not at all. What a crash loses is a few topics, which are needed again soon or not at all. */
export async function writeTopics(file: string, keys: readonly Uint8Array[]): Promise<void> {
  const draft = `${file}.new`
  await writeFile(draft, keys.map((key) => `${Buffer.from(key).toString('base64url')}\n`).join(''), { mode: 0o600 })
  await rename(draft, file)
}
