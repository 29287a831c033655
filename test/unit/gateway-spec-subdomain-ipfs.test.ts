import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'

/** Content in an origin of its own (leaf subdomain-ipfs-gateway). */

const FILE = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'
const DIRECTORY = 'bafybeiht6dtwk3les7vqm6ibpvz6qpohidvlshsfyr7l5mpysdw2vmbbhe'
const LISTED = 'bafybeig6ka5mlwkl4subqhaiatalkcleo4jgnr3hqwvpmsqfca27cijp3i'
const PERCENT = 'bafybeig675grnxcmshiuzdaz2xalm6ef4thxxds6o6ypakpghm5kghpc34'
const CID_V0 = 'QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN'
const CID_V0_AS_V1 = 'bafybeiffndsajwhk3lwjewwdxqntmjm4b5wxaaanokonsggenkbw6slwk4'
const SHA2_512 =
  'bafkrgqhhyivzstcz3hhswshfjgy6ertgmnqeleynhwt4dlfsthi4hn7zgh4uvlsb5xncykzapi3ocd4lzogukir6ksdy6wzrnz6ohnv4aglcs'
const site = fixtureSite()
const host = 'example.com:8080'
const FORWARDED = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'example.com' }

suite('a path on the gateway itself', () => {
  for (const [path, location] of [
    [`/ipfs/${FILE}`, `http://${FILE}.ipfs.${host}/`],
    [`/ipfs/${DIRECTORY}/`, `http://${DIRECTORY}.ipfs.${host}/`],
    [`/ipfs/${CID_V0}/`, `http://${CID_V0_AS_V1}.ipfs.${host}/`],
    [`/ipfs/${FILE.toUpperCase().replace('B', 'B')}/`, `http://${FILE}.ipfs.${host}/`],
    [
      `/ipfs/${PERCENT}/Portugal%252C+Espa%c3%b1a=Peninsula%20Ib%C3%A9rica.txt?x=1&y=%2f`,
      `http://${PERCENT}.ipfs.${host}/Portugal%252C+Espa%C3%B1a=Peninsula%20Ib%C3%A9rica.txt?x=1&y=%2F`,
    ],
  ] as const) {
    test(`${path.slice(0, 24)}… is redirected to its own origin, with path and query`, async () => {
      const { status, headers } = await site.get(path, { host })
      assert.equal(status, 301)
      assert.equal(headers.location, location)
    })
  }

  test('keeps the scheme that a trusted proxy names', async () => {
    for (const scheme of ['http', 'https']) {
      const { headers } = await site.get(`/ipfs/${FILE}/`, { host, 'x-forwarded-proto': scheme })
      assert.equal(headers.location, `${scheme}://${FILE}.ipfs.${host}/`)
    }
  })

  test('is refused when its CID is none, or fits no label', async () => {
    const none = await site.get('/ipfs/QmInvalidCID', { host })
    assert.equal(none.status, 400)
    assert.match(none.body.toString(), /invalid path "\/ipfs\/QmInvalidCID"/)
    const long = await site.get(`/ipfs/${SHA2_512}/`, { host })
    assert.equal(long.status, 400)
    assert.match(long.body.toString(), /CID incompatible with DNS label length limit of 63/)
  })

  test('gives no content by another encoding of itself', async () => {
    for (const path of [`/%69pfs/${FILE}`, `/ipfs%2F${FILE}`, `//ipfs/${FILE}`, `/x/../ipfs/${FILE}`]) {
      assert.equal((await site.get(path, { host })).status, 404, path)
    }
  })

  test('sends the URIs of protocol handlers to their path', async () => {
    const root = 'QmXoypizjW3WknFiJnKLwHCnL72vedxjQkDDP1mXWo6uco'
    const uri = encodeURIComponent(`ipfs://${root}/wiki/Diego_Maradona.html`)
    const { status, headers } = await site.get(`/ipfs/?uri=${uri}`, { host })
    assert.equal(status, 301)
    assert.equal(headers.location, `/ipfs/${root}/wiki/Diego_Maradona.html`)
    assert.equal((await site.get('/ipfs/?uri=https%3A%2F%2Fevil.example', { host })).status, 400)
    const hidden = await site.get(`/ipfs/?uri=${encodeURIComponent('ipfs:////evil.example')}`, { host })
    assert.equal(hidden.status, 400)
  })
})

suite('a subdomain', () => {
  test('is the content of its CID, and no gateway beside it', async () => {
    assert.equal((await site.on(`${FILE}.ipfs`, '/')).body.toString(), 'hello\n')
    assert.equal((await site.on(`${FILE}.ipfs`, `/ipfs/${FILE}/`)).status, 404)
    assert.equal((await site.on(`${DIRECTORY}.ipfs`, '/ipfs/file.txt')).body.toString(), 'I am a txt file\n')
    assert.equal((await site.on(`${DIRECTORY}.ipfs`, '/livez')).status, 404)
    assert.equal((await site.on(`${DIRECTORY}.ipfs`, `/routing/v1/providers/${FILE}`)).status, 404)
  })

  test('lets its scripts run: it has nobody to protect but itself', async () => {
    const page = site.blocks.addRaw(Buffer.from('<!doctype html><script>1</script>'))
    const onSubdomain = await site.on(`${page.toString()}.ipfs`, '/')
    assert.equal(onSubdomain.headers['content-security-policy'], undefined)
    const onPath = await site.get(`/ipfs/${page.toString()}`)
    assert.match(onPath.headers['content-security-policy'] as string, /^sandbox/)
  })

  test('may register a service worker for all of itself', async () => {
    assert.equal((await site.on(`${FILE}.ipfs`, '/', { 'service-worker': 'script' })).status, 200)
  })

  test('whose label is another form of the CID is redirected to the one form', async () => {
    const { status, headers } = await site.get('/a?b=c', { host: `${CID_V0}.ipfs.${host}` })
    assert.equal(status, 301)
    assert.equal(headers.location, `http://${CID_V0_AS_V1}.ipfs.${host}/a?b=c`)
  })

  test('with a label in capitals is the same site', async () => {
    assert.equal((await site.on(`${FILE.toUpperCase()}.IPFS`, '/')).body.toString(), 'hello\n')
  })

  test('with a label that fits no DNS name is 400', async () => {
    const { status, body } = await site.on(`${SHA2_512}.ipfs`, '/')
    assert.equal(status, 400)
    assert.match(body.toString(), /CID incompatible with DNS label length limit of 63/)
  })

  test('with a label that is no CID is 400', async () => {
    assert.equal((await site.on('nonsense.ipfs', '/')).status, 400)
    assert.equal((await site.on(`a.${FILE}.ipfs`, '/')).status, 400)
  })

  test('redirects a directory without its slash below itself, and nowhere else', async () => {
    assert.equal((await site.on(`${LISTED}.ipfs`, '/%C4%85/%C4%99')).headers.location, '/%C4%85/%C4%99/')
    const trap = site.blocks.addDirectory([['evil.example', site.blocks.addDirectory([])]])
    for (const path of ['//evil.example', '/%2Fevil.example', '///evil.example']) {
      const { status, headers } = await site.on(`${trap.toString()}.ipfs`, path)
      assert.equal(status, 301)
      assert.match(headers.location ?? '', /^\/(evil|%2F)/, path)
    }
  })

  test('lists directories with links that stay on it, and breadcrumbs by the gateway', async () => {
    const root = (await site.on(`${LISTED}.ipfs`, '/')).body.toString()
    assert.ok(root.includes('Index of') && !root.includes('>..</a>'))
    const html = (await site.on(`${LISTED}.ipfs`, '/%C4%85/%C4%99/')).body.toString()
    const gateway = '//example.com'
    for (const part of [
      '<a href="/%C4%85/%C4%99/..">..</a>',
      `/ipfs/<a href="${gateway}/ipfs/${LISTED}">${LISTED}</a>/<a href="${gateway}/ipfs/${LISTED}/%C4%85">ą</a>/<a href="${gateway}/ipfs/${LISTED}/%C4%85/%C4%99">ę</a>`,
      '<a href="/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>',
      `<a class="ipfs-hash" translate="no" href="${gateway}/ipfs/bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm?filename=file-%25C5%25BA%25C5%2582.txt">`,
    ]) {
      assert.ok(html.includes(part), part)
    }
  })
})

suite('a host that is not known', () => {
  test('is a path gateway', async () => {
    assert.equal((await site.get(`/ipfs/${FILE}`, { host: 'fake.domain.com' })).status, 200)
  })

  test('is the one that a trusted proxy names', async () => {
    const { status, headers } = await site.get(`/ipfs/${FILE}`, { host: 'fake.domain.com', ...FORWARDED })
    assert.equal(status, 301)
    assert.equal(headers.location, `https://${FILE}.ipfs.example.com/`)
  })

  test('with characters that no host has is refused', async () => {
    for (const bad of ['a b', '"><script>', 'a/b', 'a@b']) {
      assert.equal((await site.get(`/ipfs/${FILE}`, { host: bad })).status, 400, bad)
    }
  })
})
