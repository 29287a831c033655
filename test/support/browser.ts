import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chromium, type Browser, type BrowserContext, type Page, type Response } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'

/** Quiet: the browser talks to nobody but the pages that it opens. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Debian's Chromium with a profile of its own; it resolves `*.localhost` to this machine by itself. */
export async function openBrowser(): Promise<Browser> {
  assert.ok(existsSync(CHROMIUM), `These tests need ${CHROMIUM}: apt-get install chromium`)
  return await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
}

/** An exchange that a page had with a server. */
export interface Exchange {
  url: URL
  status: number
  /** The `Range` that was asked for. */
  range: string | undefined
  type: string | undefined
}

/** A page, what it loaded, and what its console complained of. */
export interface WatchedPage {
  page: Page
  complaints: string[]
  exchanges: Exchange[]
  /** Opens a URL and answers the last response of its redirects. */
  open: (url: string) => Promise<Response>
  /** Text of the page's first heading, once it has one. */
  heading: () => Promise<string>
}

export async function watchedPage(context: BrowserContext): Promise<WatchedPage> {
  const page = await context.newPage()
  const complaints: string[] = []
  const exchanges: Exchange[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('response', (response) => {
    const headers = response.headers()
    exchanges.push({
      url: new URL(response.url()),
      status: response.status(),
      range: response.request().headers()['range'],
      type: headers['content-type'],
    })
  })
  return {
    page,
    complaints,
    exchanges,
    async open(url) {
      const response = await page.goto(url)
      assert.ok(response, url)
      return response
    },
    heading: () => page.locator('h1').innerText(),
  }
}
