import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { listDenylists } from '../../services/catalog/denylists.ts'
import { openWakes } from '../../services/catalog/wake.ts'
import { DenylistFiles } from '../../services/scheduler/denylist-files.ts'
import { freshDatabase } from '../support/postgres.ts'
import { memoryLog } from '../support/web.ts'

test('files become lists, edits are seen, what cannot be read changes nothing, and removal ends a list', async () => {
  await using stack = new AsyncDisposableStack()
  const db = stack.use(await freshDatabase())
  const wakes = stack.use(openWakes(db))
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-denylists-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const { log, text } = memoryLog()
  const open = (): DenylistFiles => new DenylistFiles({ db, wakes, folder, log })
  const rules = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await listDenylists(db)).map(({ name, rules: count }) => [name, count]))

  const files = open()
  await writeFile(join(folder, 'own.deny'), '/ipns/one.example\n')
  await writeFile(join(folder, 'notes.txt'), 'no list')
  await writeFile(join(folder, 'Not A Name.deny'), '/ipns/one.example\n')
  await files.look()
  assert.deepEqual(await rules(), { own: 1 })
  assert.match(text(), /lower-case/)

  await writeFile(join(folder, 'own.deny'), '/ipns/one.example\n/ipns/two.example\n')
  await files.look()
  assert.deepEqual(await rules(), { own: 2 })

  await writeFile(join(folder, 'own.deny'), 'version: 99\n---\n/ipns/three.example\n')
  await files.look()
  assert.deepEqual(await rules(), { own: 2 })
  assert.match(text(), /cannot be read/)

  await writeFile(join(folder, 'own.deny'), '/ipns/one.example\n')
  await open().look()
  const [before] = await listDenylists(db)
  const again = open()
  await again.look()
  assert.deepEqual(await listDenylists(db), [before])

  await rm(join(folder, 'own.deny'))
  await again.look()
  assert.deepEqual(await rules(), {})
})
