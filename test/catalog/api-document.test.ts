import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openTestApi } from '../support/api.ts'

const COMMITTED = join(import.meta.dirname, '../../docs/openapi.json')

interface Document {
  paths: Record<string, Record<string, { responses: Record<string, unknown>; operationId: string }>>
  components: { schemas: Record<string, unknown> }
}

test('the OpenAPI document that is served is the one in docs/ (UPDATE_DOCS=1 writes it)', async () => {
  await using api = await openTestApi()
  const served = await (await fetch(`${api.url}/openapi.json`)).json()
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(COMMITTED, `${JSON.stringify(served, null, 2)}\n`)
  assert.deepEqual(served, JSON.parse(await readFile(COMMITTED, 'utf8')))
})

test('it has every route, with answers, and refers to nothing that is not there', async () => {
  await using api = await openTestApi()
  const document = (await (await fetch(`${api.url}/openapi.json`)).json()) as Document
  for (const { spec } of api.api.routes) {
    if (spec.path === '/openapi.json') continue
    const operation = document.paths[spec.path]?.[spec.method.toLowerCase()]
    assert.deepEqual(Object.keys(operation?.responses ?? {}), [...Object.keys(spec.answers), '4XX', '5XX'], spec.path)
  }
  const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId))
  assert.equal(new Set(ids).size, ids.length)
  const references = JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)
  for (const [, name = ''] of references) assert.ok(name in document.components.schemas, name)
})
