import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const PROMISES = Array.from({ length: 16 }, (_, index) => `P${index + 1}`)

interface Row {
  id: string
  guards: { file: string; name: string }[]
}

/** `| P1 | promise | \`file\` name<br>\`file\` name |` */
const rows = readFileSync(join(ROOT, 'docs/contracts.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| P\d+ \|/.test(line))
  .map((line): Row => {
    const [, id = '', , guards = ''] = line.split('|').map((cell) => cell.trim())
    return { id, guards: guards.split('<br>').map(guardIn) }
  })

function guardIn(text: string): Row['guards'][number] {
  const [, file = '', name = ''] = /^`([^`]+)` (.+)$/.exec(text.trim()) ?? []
  return { file, name }
}

test('each promise has one row', () => {
  assert.deepEqual(
    rows.map(({ id }) => id),
    PROMISES,
  )
})

for (const { id, guards } of rows) {
  test(`${id} is guarded by tests that exist`, () => {
    assert.ok(guards.length > 0)
    for (const { file, name } of guards) {
      assert.ok(file.startsWith('test/') && name !== '', JSON.stringify({ file, name }))
      const source = readFileSync(join(ROOT, file), 'utf8').replaceAll("\\'", "'")
      assert.ok(source.includes(name), `${file} has no test "${name}"`)
    }
  })
}
