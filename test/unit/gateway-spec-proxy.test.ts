import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { fixtureSite } from '../support/fixture-site.ts'
import { openFixtureGateway } from '../support/gateway-fixtures.ts'
import { ask } from '../support/gateway.ts'

/** The gateway as a client's HTTP proxy (leaf proxy-gateway). */

const FILE = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'
const DIRECTORY = 'bafybeiht6dtwk3les7vqm6ibpvz6qpohidvlshsfyr7l5mpysdw2vmbbhe'
const CID_V0 = 'QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN'
const CID_V0_AS_V1 = 'bafybeiffndsajwhk3lwjewwdxqntmjm4b5wxaaanokonsggenkbw6slwk4'
const site = fixtureSite()

suite('a request for a whole URL', () => {
  test('is answered for its host', async () => {
    assert.equal((await site.get(`http://${FILE}.ipfs.example.com`)).body.toString(), 'hello\n')
    const below = await site.get(`http://${DIRECTORY}.ipfs.example.com/ipfs/file.txt`)
    assert.equal(below.body.toString(), 'I am a txt file\n')
    const { status, headers } = await site.get(`http://example.com/ipfs/${CID_V0}/`)
    assert.equal(status, 301)
    assert.equal(headers.location, `http://${CID_V0_AS_V1}.ipfs.example.com/`)
  })

  test('wins over the Host header', async () => {
    const { body } = await site.get(`http://${FILE}.ipfs.example.com/`, { host: `${DIRECTORY}.ipfs.example.com` })
    assert.equal(body.toString(), 'hello\n')
  })
})

/** Opens a tunnel through the gateway. */
function openTunnel(url: string, target: string): Promise<{ status: number; socket: Socket }> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    httpRequest({ hostname, port, method: 'CONNECT', path: target, agent: false })
      .once('connect', ({ statusCode = 0 }, socket: Socket) => resolve({ status: statusCode, socket }))
      .once('error', reject)
      .end()
  })
}

/** Sends bytes and answers all that comes until the other side ends. */
async function exchange(socket: Socket, text: string): Promise<string> {
  let received = ''
  socket.setEncoding('utf8')
  socket.on('data', (piece: string) => (received += piece))
  socket.write(text)
  await once(socket, 'close')
  return received
}

suite('a tunnel', () => {
  test('to any host ends in the gateway', async () => {
    const { status, socket } = await openTunnel(site.url, 'whoever.example:80')
    assert.equal(status, 200)
    const request = `GET / HTTP/1.1\r\nHost: ${FILE}.ipfs.example.com\r\nConnection: close\r\n\r\n`
    assert.match(await exchange(socket, request), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhello\n$/)
  })

  test('dials nobody', async () => {
    let dialled = 0
    const bystander = createServer(() => (dialled += 1))
    await once(bystander.listen(0, '127.0.0.1'), 'listening')
    const { port } = bystander.address() as { port: number }
    const { socket } = await openTunnel(site.url, `127.0.0.1:${port}`)
    const request = `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`
    assert.match(await exchange(socket, request), /^HTTP\/1\.1 404 /)
    assert.equal(dialled, 0)
    bystander.close()
  })

  test('inside a tunnel is refused', async () => {
    const { socket } = await openTunnel(site.url, 'one.example:80')
    assert.match(await exchange(socket, 'CONNECT two.example:80 HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 405 /)
  })
})

test('a gateway whose proxy mode is off answers for its own hosts alone', async () => {
  await using opened = await openFixtureGateway({ isProxy: false })
  const { url } = opened.gateway
  const own = await ask(url, `http://${FILE}.ipfs.example.com/`)
  assert.equal(own.body.toString(), 'hello\n')
  assert.equal((await ask(url, 'http://whoever.example/')).status, 400)
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  assert.match(await exchange(socket, 'CONNECT two.example:80 HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 405 /)
})
