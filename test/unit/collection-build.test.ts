import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import * as fc from 'fast-check'
import { AssetNames } from '../../services/core/collection-build/asset-names.ts'
import { checkMetadata } from '../../services/core/collection-build/check-metadata.ts'
import { addDirectory } from '../../services/dag/add-directory.ts'
import { MemoryBlocks } from '../support/dag.ts'
import { runCli } from '../support/run-cli.ts'

/** What `collection build` says of a folder before anything is sent. */

const OTHER_CID = 'bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4'
const SEVEN = '7'.padStart(64, '0')

type Files = Readonly<Record<string, string | Uint8Array | object>>

interface Built {
  exitCode: number
  stderr: string
  tokens: { count: number; first: string | null; last: string | null }
  assets: { cid: string; files: number; bytes: number; sentBytes: number | null } | null
  metadata: { cid: string; files: number } | null
  baseUri: string | null
  tokenUri: string | null
  contractUri: string | null
  provenance: string | null
  problems: { level: string; code: string; file: string; message: string }[]
}

let place: string
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-collection-'))
})
after(() => rm(place, { recursive: true, force: true }))

async function folderOf(files: Files): Promise<string> {
  const root = await mkdtemp(join(place, 'folder-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    const isPlain = typeof content === 'string' || content instanceof Uint8Array
    await writeFile(join(root, name), isPlain ? content : JSON.stringify(content, undefined, 2))
  }
  return root
}

async function check(files: Files, ...words: string[]): Promise<Built> {
  const { exitCode, stdout, stderr } = await runCli([
    'collection',
    'build',
    await folderOf(files),
    '--check',
    '--json',
    ...words,
  ])
  return { exitCode, stderr, ...(JSON.parse(stdout || '{}') as Omit<Built, 'exitCode' | 'stderr'>) }
}

/** Level, code and file of each problem. */
async function problemsOf(files: Files, ...words: string[]): Promise<string[]> {
  const { problems } = await check(files, ...words)
  return problems.map(({ level, code, file }) => `${level} ${code} ${file}`.trim())
}

function token(image: string, more: object = {}): object {
  return { name: 'One', image, ...more }
}

async function cidOf(files: Readonly<Record<string, string>>): Promise<string> {
  const items = Object.entries(files).map(([path, content]) => ({ path, content: once(Buffer.from(content)) }))
  return (await addDirectory(items, new MemoryBlocks())).root.toString()
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

suite('a folder that is sound', () => {
  const images = { '1.png': 'one', '2.png': 'two' }
  const files = {
    'images/1.png': 'one',
    'images/2.png': 'two',
    'json/1.json': token('images/1.png'),
    'json/2.json': token('2.png', { attributes: [{ trait_type: 'Hat', value: 3 }] }),
    'json/collection.json': { name: 'All', image: '../images/1.png' },
    'json/_metadata.json': [token('1.png')],
    '.DS_Store': 'x',
  }

  test('becomes two, whose CIDs are those of the same files anywhere else', async () => {
    const built = await check(files)
    const assets = await cidOf(images)
    const uri = (name: string): string => `ipfs://${assets}/${name}`
    const metadata = await cidOf({
      '1': JSON.stringify(token(uri('1.png')), undefined, 2),
      '2': JSON.stringify(token(uri('2.png'), { attributes: [{ trait_type: 'Hat', value: 3 }] }), undefined, 2),
      'collection.json': JSON.stringify({ name: 'All', image: uri('1.png') }, undefined, 2),
    })
    assert.equal(built.exitCode, 0)
    assert.deepEqual(built.tokens, { count: 2, first: '1', last: '2' })
    assert.deepEqual(built.assets, { cid: assets, files: 2, bytes: 6, sentBytes: null, pin: null })
    assert.equal(built.metadata?.cid, metadata)
    assert.equal(built.baseUri, `ipfs://${metadata}/`)
    assert.equal(built.tokenUri, `ipfs://${metadata}/<tokenId>`)
    assert.equal(built.contractUri, `ipfs://${metadata}/collection.json`)
    assert.equal(built.provenance, sha256(sha256('one') + sha256('two')))
    assert.deepEqual(
      built.problems.map(({ level, code, file }) => [level, code, file]),
      [['warning', 'LEFT_OUT', 'json/_metadata.json']],
    )
  })

  test('can be written, and is not changed itself', async () => {
    const folder = await folderOf(files)
    const list = async (): Promise<string[]> => (await readdir(folder, { recursive: true })).sort()
    const before = await list()
    const out = join(place, 'result')
    const { exitCode, stdout } = await runCli([
      'collection',
      'build',
      folder,
      '--dry-run',
      '--suffix',
      '.json',
      '--out',
      out,
    ])
    assert.equal(exitCode, 0)
    assert.match(stdout, /^base URI\tipfs:\/\/bafy\S+\/$/m)
    assert.deepEqual((await readdir(join(out, 'metadata'))).sort(), ['1.json', '2.json', 'collection.json'])
    const { image } = JSON.parse(await readFile(join(out, 'metadata/1.json'), 'utf8')) as { image: string }
    assert.equal(image, `ipfs://${await cidOf(images)}/1.png`)
    assert.equal(
      await readFile(join(out, 'provenance.txt'), 'utf8'),
      `1\t${sha256('one')}\timages/1.png\n2\t${sha256('two')}\timages/2.png\n`,
    )
    assert.equal((JSON.parse(await readFile(join(out, 'result.json'), 'utf8')) as Built).tokens.count, 2)
    assert.deepEqual(await list(), before)
    const again = await runCli(['collection', 'build', folder, '--check', '--out', out])
    assert.deepEqual([again.exitCode, /is there already/.test(again.stderr)], [2, true])
    const inside = await runCli(['collection', 'build', folder, '--check', '--out', join(folder, 'out')])
    assert.equal(inside.exitCode, 2)
    assert.deepEqual(await list(), before)
  })

  test('of ERC-1155 is called by 64 digits of hex, and may have {id} in its links', async () => {
    const out = join(place, 'result-1155')
    const folder = await folderOf({
      [`images/${SEVEN}.png`]: 'seven',
      'images/9 9.png': 'nine',
      '7.json': token('images/{id}.png'),
      ['9'.padStart(64, '0')]: token('9%209.png', { decimals: 0 }),
    })
    const { exitCode, stdout, stderr } = await runCli([
      'collection',
      'build',
      folder,
      '--check',
      '--erc1155',
      '--out',
      out,
    ])
    assert.equal(exitCode, 0, stderr)
    assert.match(stdout, /^token URI\tipfs:\/\/\w+\/\{id\}\.json$/m)
    const texts = await Promise.all(
      [7, 9].map((id) => readFile(join(out, `metadata/${String(id).padStart(64, '0')}.json`), 'utf8')),
    )
    assert.match(texts[0] ?? '', /"ipfs:\/\/\w+\/\{id\}\.png"/)
    assert.match(texts[1] ?? '', /"ipfs:\/\/\w+\/9%209\.png"/)
  })

  test('needs no images of its own', async () => {
    const built = await check({ '0': token(`ipfs://${OTHER_CID}/0.png`), '1': token('data:image/svg+xml,<svg/>') })
    assert.deepEqual([built.exitCode, built.assets, built.provenance, built.problems], [0, null, null, []])
  })
})

suite('what is wrong is told, all of it:', () => {
  const png = { '1.png': 'one', '2.png': 'two', '3.png': 'three' }

  test('numbers that no contract asks for', async () => {
    assert.deepEqual(
      await problemsOf({
        ...png,
        '1.json': token('1.png'),
        'more/1': token('2.png'),
        '007.json': token('3.png'),
        [`${SEVEN}.json`]: token('3.png'),
        'readme.json': {},
        '4.json': token('3.png'),
        '8.json': token('3.png'),
      }),
      [
        `error HEX_NAME ${SEVEN}.json`,
        'error LEADING_ZEROS 007.json',
        'error DUPLICATE_TOKEN more/1',
        'error NO_TOKEN_NUMBER readme.json',
        'error GAP',
        'error GAP',
        'warning SHIFTED',
        'warning UNUSED_FILE 2.png',
      ],
    )
    assert.deepEqual(await problemsOf({ ...png, '1a.json': token('1.png'), '0x1.json': token('2.png') }, '--erc1155'), [
      'error HEX_NAME 0x1.json',
      'error HEX_NAME 1a.json',
      ...['1.png', '2.png', '3.png'].map((name) => `warning UNUSED_FILE ${name}`),
    ])
  })

  test('numbers that begin late, or differently from the images', async () => {
    const { problems, exitCode } = await check({
      '4.png': 'a',
      '5.png': 'b',
      '5.json': token('4.png'),
      '6.json': token('5.png'),
    })
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['START', 'SHIFTED'],
    )
    assert.match(problems[1]?.message ?? '', /^Every token shows .* counts from 0 and the other from 1/)
    assert.equal(exitCode, 0)
    const strict = await check({ '4.png': 'a', '5.json': token('4.png') }, '--strict')
    assert.equal(strict.exitCode, 5)
    assert.match(strict.stderr, /0 errors and 2 warnings; nothing is sent/)
  })

  test('links that lead nowhere, astray, or away', async () => {
    const { problems, exitCode, metadata, assets } = await check({
      ...png,
      'a.PNG': 'a',
      'e\u0301.png': 'e',
      '0.json': token('images/1.png'),
      '1.json': token('a.png'),
      '2.json': token('\u00e9.png'),
      '3.json': token('https://example.com/1.png', { external_url: 'https://example.com' }),
      '4.json': token(`https://ipfs.io/ipfs/${OTHER_CID}/1.png`),
      '5.json': token('ar://abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq'),
      '6.json': token('ipfs://NewUriToReplace/1.png', { animation_url: '../../../2.png' }),
      '7.json': token('ipns://k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam'),
      '8.json': token('2.png', { properties: { files: [{ uri: '3.png' }, { uri: 'none.mp4' }] } }),
    })
    assert.equal(exitCode, 5)
    assert.deepEqual([metadata, assets?.files], [null, 5])
    assert.deepEqual(
      problems.map(({ level, code, file }) => `${level} ${code} ${file}`),
      [
        'error FILE_MISSING 0.json',
        'error CASE_DIFFERS 1.json',
        'error CASE_DIFFERS 2.json',
        'error SERVER_LINK 3.json',
        'warning GATEWAY_LINK 4.json',
        'warning OTHER_NETWORK 5.json',
        'error FILE_MISSING 6.json',
        'warning MUTABLE_LINK 7.json',
        'error FILE_MISSING 8.json',
        'warning SHIFTED ',
        'warning UNUSED_FILE a.PNG',
        'warning UNUSED_FILE e\u0301.png',
      ],
    )
    const message = (file: string): string => problems.find((one) => one.file === file)?.message ?? ''
    assert.match(message('1.json'), /"a\.png", but the file is a\.PNG/)
    assert.match(message('4.json'), new RegExp(`write ipfs://${OTHER_CID}/1\\.png`))
    assert.match(message('8.json'), /^\/properties\/files\/1\/uri is "none\.mp4"/)
  })

  test('metadata that readers do not take', async () => {
    const { problems } = await check({
      '1.png': 'one',
      '1.json': Buffer.from('{"name":"\xe9"}', 'latin1'),
      '2.json': '{"name":"a","name":"b"}',
      '3.json': '{"name":',
      '4.json': '[]',
      '5.json': `{"name":"${'a'.repeat(1_048_576)}"}`,
      '6.json': '['.repeat(40).padStart(41, '{').replace('[', '"a":['),
      '7.json': { name: 7, image: '1.png', attributes: { Hat: 'red' }, properties: [] },
      '8.json': { description: 'no image', decimals: -1 },
      '9.json': token('1.png', { attributes: [{ trait_type: 'Hat' }] }),
    })
    assert.deepEqual(
      problems.map(({ code, file }) => `${code} ${file}`),
      [
        'NOT_UTF8 1.json',
        'DUPLICATE_KEY 2.json',
        'NOT_JSON 3.json',
        'NO_OBJECT 4.json',
        'TOO_LARGE 5.json',
        'TOO_COMPLEX 6.json',
        'SCHEMA 7.json',
        'SCHEMA 7.json',
        'SCHEMA 7.json',
        'SCHEMA 8.json',
        'NO_NAME 8.json',
        'NO_IMAGE 8.json',
        'SCHEMA 9.json',
        'SHIFTED ',
      ],
    )
    assert.match(problems.find(({ file }) => file === '9.json')?.message ?? '', /^At \/attributes\/0\/value/)
  })

  test('files that are empty, alike or named by nobody', async () => {
    assert.deepEqual(
      await problemsOf({
        'a.png': 'same',
        'b.png': 'same',
        'c.png': '',
        'd.png': 'd',
        '1.json': token('a.png'),
        '2.json': token('b.png'),
        '3.json': token('c.png'),
      }),
      ['warning DUPLICATE_FILE b.png', 'error EMPTY_FILE c.png', 'warning UNUSED_FILE d.png'],
    )
  })

  test('what is no collection at all', async () => {
    const folder = await folderOf({ 'a.png': 'a', '_metadata.json': [] })
    for (const words of [[folder], [join(folder, 'a.png')], ['/nonexistent'], [folder, '--suffix', '.txt']]) {
      assert.equal((await runCli(['collection', 'build', ...words, '--check'])).exitCode, 2)
    }
  })

  test('on standard error for people', async () => {
    const folder = await folderOf({ '1.json': token('1\u001b[31m.png') })
    const { exitCode, stdout, stderr } = await runCli(['collection', 'build', folder, '--check'])
    assert.deepEqual([exitCode, stdout], [5, ''])
    assert.match(stderr, /^error FILE_MISSING 1\.json: \/image is /)
    assert.match(stderr, /holdfast: 1 error and 0 warnings; nothing is sent\.\n$/)
    assert.ok(!stderr.includes('\u001b'))
  })
})

test('of metadata nothing changes but the links', () => {
  const assets = new AssetNames(['images/1.png'])
  const leaf = fc.oneof(fc.string(), fc.double(), fc.bigInt(), fc.boolean(), fc.constant(null))
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^t[a-z]{0,6}$/), leaf),
      fc.stringMatching(/^[ \n\t]{0,4}$/),
      (traits, gap) => {
        const members = Object.entries({ name: 'n', image: '1.png', ...traits }).map(([key, value]) => {
          const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value)
          return `${gap}${JSON.stringify(key)}${gap}:${gap}${text}`
        })
        const text = `{${members.join(',')}${gap}}`
        const context = { file: '1.json', token: 1n, isErc1155: false, assets, assetsCid: OTHER_CID }
        const checked = checkMetadata(Buffer.from(text), context)
        assert.equal(checked.text, text.replace('"1.png"', `"ipfs://${OTHER_CID}/1.png"`))
        assert.deepEqual([checked.used, checked.image], [['images/1.png'], 'images/1.png'])
      },
    ),
  )
})
