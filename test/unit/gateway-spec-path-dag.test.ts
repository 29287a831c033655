import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** DAG-JSON, DAG-CBOR, JSON and CBOR, in UnixFS and as codecs of their own (leaf path-dag-gateway, IPIP-328, IPIP-524). */

const UNIXFS = 'bafybeiafyvqlazbbbtjnn6how5d6h6l6rxbqc4qgpbmteaiskjrffmyy4a'
const IMMUTABLE = 'public, max-age=29030400, immutable'
const site = fixtureSite()

/** What a codec's blocks are given out as. */
const NATIVE = [
  {
    plain: 'json',
    codec: 'dag-json',
    root: 'baguqeeram5ujjqrwheyaty3w5gdsmoz6vittchvhk723jjqxk7hakxkd47xq',
    linked: '{"hello":"this is not a link"}',
    name: 'k51qzi5uqu5dhjghbwdvbo6mi40htrq6e2z4pwgp15pgv3ho1azvidttzh8yy2',
    kind: 'inline',
    other: 'dag-cbor',
  },
  {
    plain: 'cbor',
    codec: 'dag-cbor',
    root: 'bafyreibs4utpgbn7uqegmd2goqz4bkyflre2ek2iwv743fhvylwi4zeeim',
    linked: Buffer.from('a16568656c6c6f7274686973206973206e6f742061206c696e6b', 'hex').toString('latin1'),
    name: 'k51qzi5uqu5dghjous0agrwavl8vzl64xckoqzwqeqwudfr74kfd11zcyk3b7l',
    kind: 'attachment',
    other: 'dag-json',
  },
] as const

suite('JSON in a UnixFS file', () => {
  for (const [what, query, headers] of [
    ['without a wish', '', {}],
    ['by Accept', '', { accept: 'application/json' }],
    ['by format, which wins over Accept', '?format=json', { accept: 'application/vnd.ipld.raw' }],
  ] as const) {
    test(`is application/json ${what}`, async () => {
      const answer = await site.get(`/ipfs/${UNIXFS}/%C4%85/%C4%99/t.json${query}`, headers)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['content-type'], 'application/json')
      assert.doesNotThrow(() => JSON.parse(answer.body.toString()))
    })
  }

  test('is not converted to a codec that it is not stored in', async () => {
    const path = `/ipfs/${UNIXFS}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt`
    assert.equal((await site.get(`${path}?format=dag-json`)).status, 406)
    assert.equal((await site.get(`${path}?format=dag-cbor`)).status, 406)
    assert.equal((await site.get(path, { accept: 'application/vnd.ipld.dag-json' })).status, 406)
  })
})

for (const { plain, codec, root, linked, name, kind, other } of NATIVE) {
  suite(`a ${codec} block`, () => {
    const type = `application/vnd.ipld.${codec}`

    test('is the same bytes by path, by format and by Accept', async () => {
      const block = (await site.get(`/ipfs/${root}?format=raw`)).body
      for (const { headers, body } of [
        await site.get(`/ipfs/${root}`),
        await site.get(`/ipfs/${root}?format=${codec}`),
        await site.get(`/ipfs/${root}`, { accept: type }),
      ]) {
        assert.equal(headers['content-type'], type)
        assert.equal(headers['content-length'], String(block.length))
        assert.equal(headers['content-disposition'], `${kind}; filename="${root}.${plain}"`)
        assert.equal(headers.etag, `"${root}.${codec}"`)
        assert.equal(headers['cache-control'], IMMUTABLE)
        assert.deepEqual(body, block)
      }
    })

    test(`is also given as ${plain}`, async () => {
      for (const { headers } of [
        await site.get(`/ipfs/${root}?format=${plain}`),
        await site.get(`/ipfs/${root}`, { accept: `application/${plain}` }),
      ]) {
        assert.equal(headers['content-type'], `application/${plain}`)
      }
    })

    test('is not converted', async () => {
      assert.equal((await site.get(`/ipfs/${root}?format=${other}`)).status, 406)
      assert.equal((await site.get(`/ipfs/${root}`, { accept: `application/vnd.ipld.${other}` })).status, 406)
    })

    test('can be named and saved', async () => {
      const named = await site.get(`/ipfs/${root}?filename=foobar.${plain}`, { accept: type })
      assert.equal(named.headers['content-disposition'], `${kind}; filename="foobar.${plain}"`)
      const saved = await site.get(`/ipfs/${root}?filename=foobar.${plain}&download=true`, { accept: type })
      assert.equal(saved.headers['content-disposition'], `attachment; filename="foobar.${plain}"`)
    })

    test('has ranges, in every form', async () => {
      for (const headers of [{}, { accept: type }, { accept: `application/${plain}` }]) {
        const whole = await site.get(`/ipfs/${root}/`, headers)
        const part = await site.get(`/ipfs/${root}/`, { ...headers, range: 'bytes=1-7' })
        assert.equal(part.status, 206)
        assert.equal(part.headers['content-type'], whole.headers['content-type'])
        assert.deepEqual(part.body, whole.body.subarray(1, 8))
      }
    })

    test('answers HEAD with its length and no body', async () => {
      const { status, headers, body } = await site.get(`/ipfs/${root}`, {}, 'HEAD')
      assert.equal(status, 200)
      assert.equal(headers['content-type'], type)
      assert.ok(Number(headers['content-length']) > 0)
      assert.equal(body.length, 0)
    })

    test('is shown to a person as a page', async () => {
      const { status, headers, body } = await site.get(`/ipfs/${root}/`, { accept: 'text/html' })
      assert.equal(status, 200)
      assert.match(headers.etag ?? '', /DagIndex-/)
      assert.equal(headers['content-type'], 'text/html')
      assert.equal(headers['content-disposition'], undefined)
      assert.equal(headers['cache-control'], 'public, max-age=604800, stale-while-revalidate=2678400')
      assert.ok(body.includes('</html>'))
    })

    test('is followed through its links', async () => {
      const { status, body } = await site.get(`/ipfs/${root}/foo/link/bar?format=${codec}`)
      assert.equal(status, 200)
      assert.equal(body.toString('latin1').replaceAll(/\s(?=")|(?<=:)\s/g, ''), linked)
    })

    test('gives no fields, and no links that it has not', async () => {
      assert.equal((await site.get(`/ipfs/${root}/foo?format=${codec}`)).status, 501)
      assert.equal((await site.get(`/ipfs/${root}/foo/i-do-not-exist`)).status, 404)
    })

    test('is the same under a name, kept as long as the name says', async () => {
      const byPath = await site.get(`/ipfs/${root}?format=${codec}`)
      const byName = await site.get(`/ipns/${name}`, { accept: type })
      assert.deepEqual(byName.body, byPath.body)
      assert.equal(byName.headers['content-type'], type)
      assert.equal(byName.headers.etag, `"${root}.${codec}"`)
      assert.equal(byName.headers['x-ipfs-path'], `/ipns/${name}`)
      assert.match(byName.headers['cache-control'] ?? '', /^public, max-age=\d+$/)
      const page = await site.get(`/ipns/${name}/`, { accept: 'text/html' })
      assert.match(page.headers.etag ?? '', /DagIndex-/)
      assert.match(page.headers['cache-control'] ?? '', /^public, max-age=\d+$/)
    })
  })
}

suite('a block of plain JSON or CBOR', () => {
  for (const [format, root, kind] of [
    ['json', 'bagaaierajjsnhsxqlgfrvknlt7z2heoljcgfv37cn45tu7mhmr23x3ekiboq', 'inline'],
    ['cbor', 'bafireif3aymeikgfbofx533yf5vlx4kimzq6zmzmpra2mnzfsfnmv4hchm', 'attachment'],
  ] as const) {
    test(`is ${format} as it stands, also in ranges`, async () => {
      const block = (await site.get(`/ipfs/${root}?format=raw`)).body
      for (const [query, headers] of [
        ['', {}],
        [`?format=${format}`, {}],
        ['', { accept: `application/${format}` }],
      ] as const) {
        const whole = await site.get(`/ipfs/${root}${query}`, headers)
        assert.equal(whole.headers['content-type'], `application/${format}`)
        assert.equal(whole.headers['content-disposition'], `${kind}; filename="${root}.${format}"`)
        assert.deepEqual(whole.body, block)
        const part = await site.get(`/ipfs/${root}${query}`, { ...headers, range: 'bytes=2-4' })
        assert.equal(part.status, 206)
        assert.deepEqual(part.body, block.subarray(2, 5))
      }
    })
  }
})
