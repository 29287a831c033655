import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, BrowserContext } from 'playwright-core'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { openBrowser, watchedPage } from '../support/browser.ts'
import { Cluster } from '../support/cluster.ts'
import { SHADES_PER_SECOND, websiteForm } from '../support/website.ts'

/** Pinned websites as a visitor's browser sees them. */

const NEIGHBOUR = '<!doctype html><title>Neighbour</title><link rel=icon href=data:,><h1>Neighbour</h1>'

/** Scripts for the page are text: the compiler knows no browser. */
const FILM_SHOWN = "document.querySelector('video')?.readyState >= 2"
const SEEK = `async (second) => {
  const video = document.querySelector('video')
  const sought = new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }))
  video.currentTime = second
  await sought
  const drawing = document.createElement('canvas').getContext('2d')
  drawing.drawImage(video, 0, 0)
  return { time: video.currentTime, shade: drawing.getImageData(8, 8, 1, 1).data[0] }
}`
const REGISTER = `(script, options) => navigator.serviceWorker.register(script, options).then(
  (registration) => registration.scope,
  (error) => String(error),
)`

const opened = new AsyncDisposableStack()
let cluster: Cluster
let browser: Browser
let cid: string
let neighbour: string

before(async () => {
  browser = opened.use(await openBrowser())
  cluster = opened.use(await Cluster.start())
  const neighbourForm = new FormData()
  neighbourForm.append('file', new Blob([NEIGHBOUR]), 'index.html')
  cid = await pinnedFolder(await websiteForm())
  neighbour = await pinnedFolder(neighbourForm)
})
after(() => opened.disposeAsync())

async function pinnedFolder(body: FormData): Promise<string> {
  const uploaded = await cluster.json<{ cid: string; pin: { requestid: string } }>('/v1/uploads', {
    method: 'POST',
    body,
  })
  await cluster.pinned(uploaded.pin.requestid, 3)
  return uploaded.cid
}

function port(index = 0): string {
  return new URL(cluster.node(index).gateway).port
}

/** The origin of a site on the subdomain gateway. */
function originOf(root: string, namespace = 'ipfs', node = 0): string {
  return `http://${root}.${namespace}.localhost:${port(node)}`
}

/** A test with a visitor of its own, who has seen nothing before. */
function visit(name: string, body: (visitor: BrowserContext) => Promise<void>): void {
  test(name, async () => {
    await using visitor = await browser.newContext()
    await body(visitor)
  })
}

visit('a path URL leads to the site on an origin of its own, with its styles, modules and images', async (visitor) => {
  const { page, complaints, exchanges, open, heading } = await watchedPage(visitor)
  const response = await open(`http://localhost:${port()}/ipfs/${cid}/`)
  assert.equal(response.url(), `${originOf(cid)}/`)
  assert.equal(
    await response
      .request()
      .redirectedFrom()
      ?.response()
      .then((first) => first?.status()),
    301,
  )
  await page.waitForLoadState('networkidle')
  assert.equal(await heading(), 'Lighthouse')
  assert.equal(await page.evaluate('getComputedStyle(document.body).color'), 'rgb(20, 40, 60)')
  assert.equal(await page.evaluate('document.images[0].naturalWidth'), 32)
  const types = new Map(exchanges.map(({ url, type }) => [url.pathname, type]))
  assert.match(types.get('/') ?? '', /^text\/html\b/)
  assert.match(types.get('/style.css') ?? '', /^text\/css\b/)
  assert.match(types.get('/modules/app.js') ?? '', /^text\/javascript\b/)
  assert.match(types.get('/modules/headline.js') ?? '', /^text\/javascript\b/)
  assert.match(types.get('/lamp.svg') ?? '', /^image\/svg\+xml\b/)
  assert.deepEqual(complaints, [])
})

visit('links lead from page to page and back', async (visitor) => {
  const { page, complaints, open, heading } = await watchedPage(visitor)
  await open(originOf(cid))
  await page.getByRole('link', { name: 'About' }).click()
  await page.waitForURL('**/about/')
  assert.equal(await heading(), 'About the lighthouse')
  await page.getByRole('link', { name: 'Home' }).click()
  await page.waitForURL(`${originOf(cid)}/`)
  await page.getByRole('link', { name: 'Note 7' }).click()
  await page.waitForURL('**/notes/7')
  assert.equal(await heading(), 'Note 7')
  await page.goBack()
  assert.equal(await heading(), 'Lighthouse')
  assert.deepEqual(complaints, [])
})

visit(
  '_redirects: deep links are rendered by the script, what moved is followed, what is gone says so',
  async (visitor) => {
    const { page, open, heading } = await watchedPage(visitor)
    const deep = await open(`${originOf(cid)}/notes/12`)
    assert.equal(deep.status(), 200)
    assert.equal(await heading(), 'Note 12')
    await page.reload()
    assert.equal(await heading(), 'Note 12')
    const moved = await open(`${originOf(cid)}/cinema`)
    assert.equal(moved.url(), `${originOf(cid)}/film.html`)
    assert.equal(
      await moved
        .request()
        .redirectedFrom()
        ?.response()
        .then((first) => first?.status()),
      301,
    )
    const gone = await open(`${originOf(cid)}/wrecks/1912`)
    assert.equal(gone.status(), 404)
    assert.equal(gone.url(), `${originOf(cid)}/wrecks/1912`)
    assert.equal(await heading(), 'Lost at sea')
  },
)

visit('a film is sought by ranges', async (visitor) => {
  const { page, complaints, exchanges, open } = await watchedPage(visitor)
  await open(`${originOf(cid)}/film.html`)
  await page.waitForFunction(FILM_SHOWN)
  const firstBytes = (): number[] =>
    exchanges
      .filter(({ url }) => url.pathname === '/film.mp4')
      .map(({ range }) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]))
  const before = firstBytes().length
  for (const second of [50, 4]) {
    const { time, shade } = await page.evaluate<{ time: number; shade: number }>(`(${SEEK})(${second})`)
    assert.equal(time, second)
    assert.ok(Math.abs(shade / SHADES_PER_SECOND - second) < 2, `shade ${shade} at second ${second}`)
  }
  const film = exchanges.filter(({ url }) => url.pathname === '/film.mp4')
  assert.deepEqual([...new Set(film.map(({ status }) => status))], [206])
  assert.ok(
    firstBytes()
      .slice(before)
      .some((first) => first > 6_000_000),
    `ranges from ${firstBytes().join()}`,
  )
  assert.deepEqual(complaints, [])
})

visit('what a site stores is kept for it, and not seen by other sites nor by the API', async (visitor) => {
  const { page, open } = await watchedPage(visitor)
  const stored = (): Promise<string | null> => page.evaluate("localStorage.getItem('secret')")
  await open(originOf(cid))
  await page.evaluate("localStorage.setItem('secret', 'of the lighthouse')")
  for (const other of [originOf(neighbour), originOf(cid, 'ipfs', 1), cluster.ready.api]) {
    await open(other)
    assert.equal(await stored(), null, other)
  }
  await open(`${originOf(cid)}/about/`)
  assert.equal(await stored(), 'of the lighthouse')
})

visit('content under a path has no origin, and so no storage', async (visitor) => {
  const { page, open, heading } = await watchedPage(visitor)
  await open(`${cluster.node(0).gateway}/ipfs/${cid}/about/`)
  assert.equal(await heading(), 'About the lighthouse')
  assert.equal(await page.evaluate('origin'), 'null')
  await assert.rejects(page.evaluate("localStorage.getItem('secret')"), /SecurityError/)
})

visit('the API gives a site nothing without a token, and serves no content', async (visitor) => {
  const { page, open } = await watchedPage(visitor)
  await open(originOf(cid))
  const { api } = cluster.ready
  assert.equal(await page.evaluate(`fetch('${api}/psa/pins').then(({ status }) => status)`), 401)
  assert.equal((await open(`${api}/ipfs/${cid}/`)).status(), 404)
})

visit('a site may have a service worker on its own origin', async (visitor) => {
  const { page, open } = await watchedPage(visitor)
  await open(originOf(cid))
  assert.equal(await page.evaluate(`(${REGISTER})('/worker.js', {})`), `${originOf(cid)}/`)
})

test('a service worker that would see all of /ipfs/ is refused, even when the page is not sandboxed', async () => {
  await using visitor = await browser.newContext({ bypassCSP: true })
  const { page, open } = await watchedPage(visitor)
  const { gateway } = cluster.node(0)
  const worker = await open(`${gateway}/ipfs/${cid}/worker.js`)
  const script = worker.headers()['x-ipfs-roots']?.split(',').at(-1)
  await open(`${gateway}/ipfs/${cid}/modules/`)
  const answer = await page.evaluate<string>(`(${REGISTER})('/ipfs/${script}?filename=worker.js', {})`)
  assert.match(answer, /^TypeError: .*\b400\b/)
})

visit('a directory without a page of its own is listed, for the keyboard too', async (visitor) => {
  const { page, complaints, open, heading } = await watchedPage(visitor)
  await open(`${originOf(cid)}/modules/`)
  assert.equal(await heading(), `Index of /ipfs/${cid}/modules`)
  const tabTo = async (name: string): Promise<void> => {
    const links = await page.getByRole('link').count()
    for (let pressed = 0; pressed < links; pressed++) {
      await page.keyboard.press('Tab')
      if ((await page.locator(':focus').innerText()) === name) return
    }
    assert.fail(`no link ${name} is reached by the keyboard`)
  }
  await tabTo('headline.js')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/modules/headline.js')
  assert.match(await page.locator('body').innerText(), /export function headline/)
  await open(`${originOf(cid)}/modules/`)
  await page.getByRole('link', { name: cid }).click()
  await page.waitForURL(`${originOf(cid)}/`)
  assert.equal(await heading(), 'Lighthouse')
  await open(`${originOf(cid)}/modules/`)
  await page.getByRole('link', { name: '..', exact: true }).click()
  await page.waitForURL(`${originOf(cid)}/`)
  assert.deepEqual(complaints, [])
  await page.goBack()
  await page.locator('a.ipfs-hash').first().click()
  await page.waitForURL(/^http:\/\/[a-z0-9]+\.ipfs\.localhost:\d+\/\?filename=app\.js$/)
})

visit("the gateway's own pages and the API's are shown as they are meant, without a complaint", async (visitor) => {
  const { page, complaints, open, heading } = await watchedPage(visitor)
  await open(cluster.ready.api)
  assert.equal(await heading(), 'Holdfast')
  assert.deepEqual(complaints, [])
  const missing = await open(`${cluster.node(0).gateway}/ipfs/${cid}/no-such-page`)
  assert.equal(missing.status(), 404)
  assert.match(await heading(), /^404/)
  assert.notEqual(await page.evaluate('getComputedStyle(document.body).maxWidth'), 'none')
})

visit('a name leads to the site on an origin of its own, and goes on to its next version', async (visitor) => {
  const { page, open, heading } = await watchedPage(visitor)
  const key = generateSigningKey()
  const name = key.name.text
  const publish = async (root: string, sequence: bigint): Promise<void> => {
    const { bytes } = createIpnsRecord(key, {
      value: `/ipfs/${root}`,
      sequence,
      validUntilMs: Date.now() + 3_600_000,
      ttlMs: 0,
    })
    const url = `${cluster.node(0).gateway}/routing/v1/ipns/${name}`
    assert.equal((await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })).status, 200)
  }
  await publish(cid, 0n)
  const response = await open(`http://localhost:${port(1)}/ipns/${name}/notes/3`)
  assert.equal(response.url(), `${originOf(name, 'ipns', 1)}/notes/3`)
  assert.equal(await heading(), 'Note 3')
  await page.getByRole('link', { name: 'About' }).click()
  await page.waitForURL('**/about/')
  assert.equal(await heading(), 'About the lighthouse')
  await publish(neighbour, 1n)
  await open(originOf(name, 'ipns'))
  assert.equal(await heading(), 'Neighbour')
})

test('sites are opened on from every node when the control plane and Postgres are killed', async () => {
  await cluster.kill('control')
  await cluster.kill('postgres')
  for (const index of cluster.ready.nodes.keys()) {
    await using visitor = await browser.newContext()
    const { page, complaints, open, heading } = await watchedPage(visitor)
    await open(`${originOf(cid, 'ipfs', index)}/notes/1`)
    assert.equal(await heading(), 'Note 1')
    await page.getByRole('link', { name: 'Film' }).click()
    await page.waitForFunction(FILM_SHOWN)
    await open(`${originOf(neighbour, 'ipfs', index)}/`)
    assert.equal(await heading(), 'Neighbour')
    assert.deepEqual(complaints, [])
  }
})
