import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { pseudoRandomBytes } from '../support/dag.ts'
import { fixtureSite } from '../support/fixture-site.ts'
import { readTar } from '../support/tar.ts'

/** TAR archives (leaf path-tar-gateway, IPIP-288). */

const FILE = 'bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm'
const DIRECTORY = 'bafybeig6ka5mlwkl4subqhaiatalkcleo4jgnr3hqwvpmsqfca27cijp3i'
const INSIDE = 'bafybeibfevfxlvxp5vxobr5oapczpf7resxnleb7tkqmdorc4gl5cdva3y'
const OUTSIDE = 'bafybeicaj7kvxpcv4neaqzwhrqqmdstu4dhrwfpknrgebq6nzcecfucvyu'
const site = fixtureSite()

test('a file is the one member, named by its CID', async () => {
  for (const { headers, body } of [
    await site.get(`/ipfs/${FILE}?format=tar`),
    await site.get(`/ipfs/${FILE}`, { accept: 'application/x-tar' }),
  ]) {
    assert.equal(headers['content-type'], 'application/x-tar')
    assert.equal(headers['content-disposition'], `attachment; filename="${FILE}.tar"`)
    assert.equal(headers.etag, `W/"${FILE}.x-tar"`)
    const members = readTar(body).map(({ name, content }) => [name, content.toString()])
    assert.deepEqual(members, [[FILE, 'I am a txt file on path with utf8\n']])
  }
})

test('a folder has all that is below it, under its CID', async () => {
  const members = readTar((await site.get(`/ipfs/${DIRECTORY}?format=tar`)).body)
  assert.deepEqual(
    members.map(({ name }) => name.slice(DIRECTORY.length)),
    [
      '/',
      '/api/',
      '/api/file.txt',
      '/ipfs/',
      '/ipfs/file.txt',
      '/ipns/',
      '/ipns/file.txt',
      '/ą/',
      '/ą/ę/',
      '/ą/ę/file-źł.txt',
    ],
  )
})

test('a name of any script is given twice', async () => {
  const path = `/ipfs/${DIRECTORY}?format=tar&filename=${encodeURIComponent('testтест.tar')}`
  const { headers } = await site.get(path)
  const expected = `attachment; filename="test____.tar"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.tar`
  assert.equal(headers['content-disposition'], expected)
})

suite('an entry that climbs', () => {
  test('within the root is put where it climbs to', async () => {
    const members = readTar((await site.get(`/ipfs/${INSIDE}?format=tar`)).body)
    assert.ok(members.some(({ name }) => name === `${INSIDE}/foobar/file`))
  })

  test('out of the root is refused before any byte', async () => {
    const { status, headers, body } = await site.get(`/ipfs/${OUTSIDE}?format=tar`)
    assert.equal(status, 422)
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(body.toString(), /"\.\.\/foo"/)
  })
})

test('symlinks are kept only when they lead further down', async () => {
  const targets = ['below/file', '../../../etc/passwd', '/etc/passwd', 'below/../..', '']
  const root = site.blocks.addDirectory(targets.map((target, index) => [`link-${index}`, symlinkTo(target)]))
  const members = readTar((await site.get(`/ipfs/${root.toString()}?format=tar`)).body)
  const links = members.filter(({ type }) => type === 'symlink').map(({ target }) => target)
  assert.deepEqual(links, ['below/file'])
})

function symlinkTo(target: string): CID {
  return site.blocks.addPb(Buffer.concat([Buffer.from([0x08, 4, 0x12, target.length]), Buffer.from(target)]))
}

test('files of several blocks, long names and empty folders are whole', async () => {
  const content = pseudoRandomBytes(3, 100_000)
  const leaves = [content.subarray(0, 60_000), content.subarray(60_000)]
  const file = site.blocks.addFileNode(
    leaves.map((leaf) => site.blocks.addRaw(leaf)),
    leaves.map(({ length }) => length),
  )
  const name = `${'long-name-'.repeat(20)}é`
  const root = site.blocks.addDirectory([
    ['empty', site.blocks.addDirectory([])],
    [name, file],
  ])
  const members = readTar((await site.get(`/ipfs/${root.toString()}?format=tar`)).body)
  const found = members.find((member) => member.name === `${root.toString()}/${name}`)
  assert.deepEqual(found?.content, Buffer.from(content))
  assert.ok(members.some((member) => member.name === `${root.toString()}/empty/`))
})

test('what is no UnixFS is 406', async () => {
  const dagCbor = 'bafyreibs4utpgbn7uqegmd2goqz4bkyflre2ek2iwv743fhvylwi4zeeim'
  assert.equal((await site.get(`/ipfs/${dagCbor}?format=tar`)).status, 406)
})
