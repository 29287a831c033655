import { readFile, rename, writeFile } from 'node:fs/promises'
import type { TopicKind } from './topic-values.ts'

interface TopicEntry {
  kind: TopicKind
  key: Uint8Array
}

/** Topics as `{kind} {key in base64url}`, one a line; none when there is no file or it cannot be read. */
export async function readTopics(file: string): Promise<TopicEntry[]> {
  try {
    const lines = (await readFile(file, 'latin1')).split('\n')
    return lines.flatMap((line) => {
      const [, kind, key = ''] = /^(told|asked) ([\w-]{1,256})$/.exec(line) ?? []
      return kind === undefined ? [] : [{ kind: kind as TopicKind, key: Buffer.from(key, 'base64url') }]
    })
  } catch {
    return []
  }
}

/** Whole or not at all. What a crash loses is a few topics, which are needed again soon or not at all. */
export async function writeTopics(file: string, topics: Iterable<TopicEntry>): Promise<void> {
  const draft = `${file}.new`
  const lines = Array.from(topics, ({ kind, key }) => `${kind} ${Buffer.from(key).toString('base64url')}\n`)
  await writeFile(draft, lines.join(''), { mode: 0o600 })
  await rename(draft, file)
}
