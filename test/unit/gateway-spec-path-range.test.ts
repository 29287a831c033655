import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** Range requests of the path gateway (leaf path-range-gateway). */

const DIRECTORY = 'bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy'
const THREE_BLOCKS = 'QmYhmPjhFjYFyaoiuNzYv8WGavpSRDwdHWe5B4M5du5Rtk'
const TEXT = 'hello application/vnd.ipld.car\n'
const site = fixtureSite()
const path = `/ipfs/${DIRECTORY}/ascii.txt`

test('a file says that it takes ranges', async () => {
  const { headers, body } = await site.get(path)
  assert.equal(headers['accept-ranges'], 'bytes')
  assert.equal(body.toString(), TEXT)
})

suite('one range', () => {
  for (const [range, contentRange, text] of [
    ['bytes=6-16', 'bytes 6-16/31', TEXT.slice(6, 17)],
    ['bytes=-3', 'bytes 28-30/31', TEXT.slice(28)],
    ['bytes=20-999999', 'bytes 20-30/31', TEXT.slice(20)],
    ['bytes=-5000', 'bytes 0-30/31', TEXT],
  ] as const) {
    test(`${range} is ${contentRange}`, async () => {
      const { status, headers, body } = await site.get(path, { range })
      assert.equal(status, 206)
      assert.equal(headers['content-range'], contentRange)
      assert.equal(headers['content-length'], String(text.length))
      assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
      assert.equal(body.toString(), text)
    })
  }
})

test('several ranges come as parts, in the order asked for', async () => {
  const { status, headers, body, complete } = await site.get(path, { range: 'bytes=6-16,0-4' })
  assert.equal(status, 206)
  assert.ok(complete)
  assert.equal(headers['content-length'], String(body.length))
  assert.match(headers['content-type'] as string, /^multipart\/byteranges; boundary=/)
  assert.match(
    body.toString(),
    /Content-Range: bytes 6-16\/31\r\n\r\napplication\r\n[\s\S]*Content-Range: bytes 0-4\/31\r\n\r\nhello\r\n/,
  )
})

test('a block that is missing before or after the range is not needed', async () => {
  for (const range of ['997-1000', '2200-2201']) {
    const { status, headers, complete } = await site.get(`/ipfs/${THREE_BLOCKS}`, { range: `bytes=${range}` })
    assert.equal(status, 206)
    assert.ok(complete)
    assert.equal(headers['content-range'], `bytes ${range}/3072`)
  }
})
