import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DelimiterCount } from '../../services/node/delimiter-count.ts'

test('delimiters are counted wherever the chunks are cut', () => {
  const part = fc.string({ maxLength: 40 }).map((text) => `--edge\r\nx: y\r\n\r\n${text.replaceAll('--', '==')}\r\n`)
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 8 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 20 }),
      (parts, closed, size) => {
        const body = Buffer.from(`${parts.join('')}${closed ? '--edge--\r\n' : ''}`)
        const count = new DelimiterCount('edge')
        for (let at = 0; at < body.length; at += size) count.scan(body.subarray(at, at + size))
        assert.equal(count.parts, parts.length)
        assert.equal(count.isClosed, closed)
      },
    ),
  )
})

test('what follows the last delimiter is not counted', () => {
  const count = new DelimiterCount('edge')
  count.scan(Buffer.from('--edge\r\n\r\na\r\n--edge--\r\n--edge\r\nmore\r\n--edge--'))
  assert.equal(count.parts, 1)
})
