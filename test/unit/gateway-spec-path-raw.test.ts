import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** Blocks under paths (leaf path-raw-gateway). */

const ROOT = 'bafybeie72edlprgtlwwctzljf6gkn2wnlrddqjbkxo3jomh4n7omwblxly'
const DIRECTORY = 'bafybeifaqksygmsbnqe76kwvxoqxtkzcwssq5jkhuo65ldtqiunr3bxlra'
const FILE = 'bafkreihhpc5y2pqvl5rbe5uuyhqjouybfs3rvlmisccgzue2kkt5zq6upq'
const RAW = 'application/vnd.ipld.raw'
const site = fixtureSite()

test('a directory is given as its block, by format and by Accept', async () => {
  const byFormat = await site.get(`/ipfs/${ROOT}/dir?format=raw`)
  const byAccept = await site.get(`/ipfs/${ROOT}/dir`, { accept: RAW })
  assert.equal(byFormat.status, 200)
  assert.equal(byFormat.body.length, 57)
  assert.deepEqual(byAccept.body, byFormat.body)
})

test('a range of a block keeps its type', async () => {
  const whole = await site.get(`/ipfs/${ROOT}/dir?format=raw`)
  const { status, headers, body } = await site.get(`/ipfs/${ROOT}/dir`, { accept: RAW, range: 'bytes=6-16' })
  assert.equal(status, 206)
  assert.equal(headers['content-type'], RAW)
  assert.equal(headers['content-range'], 'bytes 6-16/57')
  assert.deepEqual(body, whole.body.subarray(6, 17))
})

test('the headers of a block', async () => {
  const { headers } = await site.get(`/ipfs/${ROOT}/dir/ascii.txt`, { accept: RAW })
  assert.equal(headers['content-type'], RAW)
  assert.equal(headers['content-length'], '31')
  assert.equal(headers['content-disposition'], `attachment; filename="${FILE}.bin"`)
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.equal(headers.etag, `"${FILE}.raw"`)
  assert.equal(headers['cache-control'], 'public, max-age=29030400, immutable')
  assert.equal(headers['x-ipfs-path'], `/ipfs/${ROOT}/dir/ascii.txt`)
  assert.equal(headers['x-ipfs-roots'], [ROOT, DIRECTORY, FILE].join(','))
  assert.equal(headers['content-location'], `/ipfs/${ROOT}/dir/ascii.txt?format=raw`)
})

test('a block can be given a name', async () => {
  const { headers } = await site.get(`/ipfs/${ROOT}/dir/ascii.txt?filename=foobar.bin`, { accept: RAW })
  assert.equal(headers['content-disposition'], 'attachment; filename="foobar.bin"')
})
