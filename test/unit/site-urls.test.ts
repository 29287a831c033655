import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SiteUrls } from '../../services/api/site-urls.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { rawCid } from '../support/cids.ts'

const cid = rawCid('a page')
const { text: name } = generateSigningKey().name

test('a host of the subdomain class gives each site an origin of its own', () => {
  const urls = new SiteUrls('https://dweb.example', [{ host: 'dweb.example', class: 'subdomain' }])
  assert.equal(urls.ofContent(cid), `https://${cid.toString()}.ipfs.dweb.example/`)
  assert.equal(urls.ofName(name), `https://${name}.ipns.dweb.example/`)
})

test('a gateway on loopback is reached by the name localhost, with its port', () => {
  const urls = new SiteUrls('http://127.0.0.1:4180', [{ host: 'localhost', class: 'subdomain' }])
  assert.equal(urls.ofName(name), `http://${name}.ipns.localhost:4180/`)
})

test('without such a host content is below a path', () => {
  for (const host of ['other.example', 'trustless.example']) {
    const urls = new SiteUrls(`https://${host}/gate`, [{ host: 'trustless.example', class: 'trustless' }])
    assert.equal(urls.ofContent(cid), `https://${host}/gate/ipfs/${cid.toString()}/`)
    assert.equal(urls.ofName(name), `https://${host}/gate/ipns/${name}/`)
  }
})
