import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { openApi } from '../../services/runtime/http/openapi.ts'
import { EMPTY, json } from '../../services/runtime/http/route.ts'
import { route } from '../support/web.ts'

const Part = z.object({ weight: z.number().default(1) }).meta({ id: 'TestPart' })
const Whole = z.object({ parts: z.array(Part), next: z.string().optional() }).meta({ id: 'TestWhole' })
const about = { title: 'Things', version: '1', description: 'For a test' }

test('the document is made of the declarations, with named schemas once', () => {
  const document = openApi(
    [
      route(
        {
          method: 'POST',
          path: '/things/{id}:weigh',
          summary: 'Weigh',
          access: 'things:read',
          params: z.object({ id: z.uuid() }),
          query: z.object({ exact: z.stringbool().optional() }),
          body: json(Whole),
          answers: { 200: z.object({ sum: z.number() }), 202: EMPTY },
        },
        async () => ({ status: 202 }),
      ),
    ],
    about,
  )
  const paths = document['paths'] as Record<string, Record<string, Record<string, unknown>>>
  const operation = paths['/things/{id}:weigh']?.['post']
  assert.ok(operation)
  assert.deepEqual(operation['security'], [{ token: ['things:read'] }])
  assert.deepEqual(operation['requestBody'], {
    required: true,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/TestWhole' } } },
  })
  const parameters = operation['parameters'] as { name: string; in: string; required: boolean }[]
  assert.deepEqual(
    parameters.map(({ name, in: place, required }) => [name, place, required]),
    [
      ['id', 'path', true],
      ['exact', 'query', false],
    ],
  )
  const { schemas } = document['components'] as {
    schemas: Record<string, { properties: Record<string, { items?: unknown }> }>
  }
  assert.deepEqual(Object.keys(schemas).sort(), ['Failure', 'TestPart', 'TestWhole'])
  assert.deepEqual(schemas['TestWhole']?.properties['parts']?.items, { $ref: '#/components/schemas/TestPart' })
  assert.equal(JSON.stringify(document).includes('unnamed-'), false)
})
