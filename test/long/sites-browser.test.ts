import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { build } from 'vite'
import { openBrowser, watchedPage } from '../support/browser.ts'
import { Cluster } from '../support/cluster.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/until.ts'

/** An application of one page, built with Vite, as its visitors see it over deploys and a rollback. */

const APPLICATION = resolve(import.meta.dirname, '../fixtures/notes-app')
const SITE = 'notes'

const opened = new AsyncDisposableStack()
let cluster: Cluster
let browser: Browser
let place: string

before(async () => {
  place = await mkdtemp(join(tmpdir(), 'holdfast-notes-'))
  opened.defer(() => rm(place, { recursive: true, force: true }))
  browser = opened.use(await openBrowser())
  cluster = opened.use(await Cluster.start())
})
after(() => opened.disposeAsync())

interface Live {
  cid: string
  url: string
  previewUrl: string
  sequence: string
}

async function holdfast(...words: string[]): Promise<Live> {
  const environment = { HOLDFAST_DATA: cluster.folder }
  const { exitCode, stdout, stderr } = await runCli([...words, '--json'], { environment })
  assert.equal(exitCode, 0, stderr)
  return JSON.parse(stdout) as Live
}

async function deploy(version: string): Promise<Live> {
  const outDir = join(place, version)
  await build({
    root: APPLICATION,
    configFile: false,
    logLevel: 'error',
    define: { __VERSION__: JSON.stringify(version) },
    build: { outDir, emptyOutDir: true },
  })
  return await holdfast('deploy', outDir, '--name', SITE)
}

test('an application keeps its URL and what visitors stored over deploys and a rollback', async () => {
  const one = await deploy('one')
  await using visitor = await browser.newContext()
  const { page, complaints, exchanges, open, heading } = await watchedPage(visitor)
  const notes = (): Promise<string[]> => page.locator('li').allInnerTexts()

  await open(one.url)
  assert.equal(new URL(page.url()).origin, new URL(one.url).origin, 'on an origin of its own')
  assert.match(new URL(one.url).hostname, /^k51\w+\.ipns\.localhost$/)
  assert.equal(await heading(), 'Version one')
  assert.equal(await page.evaluate("getComputedStyle(document.querySelector('h1')).color"), 'rgb(20, 40, 60)')
  await page.getByRole('link', { name: 'Notes' }).click()
  await page.locator('input').fill('written in version one')
  await page.getByRole('button').click()
  await page.locator('li').waitFor()

  /** What the page of the notes shows once the visitor comes back and that version is live. */
  const comesBack = async (version: string): Promise<string[]> => {
    await until(`version ${version}`, async () => {
      // A path that only the application knows: `_redirects` leads it to the page.
      await page.reload({ waitUntil: 'networkidle' })
      return (await heading()) === `Notes of version ${version}`
    })
    return await notes()
  }
  assert.deepEqual(await comesBack('one'), ['written in version one'])

  const two = await deploy('two')
  assert.deepEqual([two.url, two.sequence], [one.url, '2'])
  assert.notEqual(two.cid, one.cid)
  assert.deepEqual(await comesBack('two'), ['written in version one'])
  await page.locator('input').fill('written in version two')
  await page.getByRole('button').click()
  await page.locator('li').nth(1).waitFor()

  const back = await holdfast('site', 'rollback', SITE)
  assert.deepEqual([back.cid, back.url, back.sequence], [one.cid, one.url, '3'])
  assert.deepEqual(await comesBack('one'), ['written in version one', 'written in version two'])
  assert.deepEqual(complaints, [])
  assert.ok(
    exchanges.some(({ url, type }) => /\/assets\/notes-\S+\.js$/.test(url.pathname) && /javascript/.test(type ?? '')),
  )
})

test('each version can be looked at by itself, with a storage of its own', async () => {
  const { versions } = await cluster.json<{ versions: { sequence: string; url: string }[] }>(`/v1/sites/${SITE}`)
  await using visitor = await browser.newContext()
  const { page, complaints, open, heading } = await watchedPage(visitor)
  const origins = new Set<string>()
  for (const [sequence, version] of [
    ['1', 'one'],
    ['2', 'two'],
  ]) {
    const found = versions.find((one) => one.sequence === sequence)
    await open(`${found?.url}notes`)
    assert.equal(await heading(), `Notes of version ${version}`)
    assert.equal(await page.evaluate("localStorage.getItem('notes')"), null)
    await page.evaluate("localStorage.setItem('notes', '[]')")
    origins.add(new URL(page.url()).origin)
  }
  assert.equal(origins.size, 2)
  assert.deepEqual(complaints, [])
})
