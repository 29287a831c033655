import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import { once } from 'node:events'
import { test } from 'node:test'
import { openTransferClient } from '../../services/transfer/client.ts'
import { tlsOptions } from '../../services/transfer/tls.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { Nodes, storeFile } from './nodes.ts'

test('a key that is not in the directory is not served', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const file = await storeFile(a.store, seededBytes(1, 1_000))
  const { directory } = nodes
  const stranger = nodes.use(openTransferClient({ identity: await nodes.identity('stranger'), directory }))
  await assert.rejects(stranger.has('a', [file.cid]), { code: 'UPSTREAM_FAILED' })
  await assert.rejects(stranger.block('a', file.cid), { code: 'UPSTREAM_FAILED' })
})

test('a connection without a certificate is closed before a request is read', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const socket = connect({ host: '127.0.0.1', port: a.server.port, rejectUnauthorized: false })
  socket.on('error', () => {})
  let answered = 0
  socket.on('data', (bytes) => (answered += bytes.length))
  socket.write('GET /block/x HTTP/1.1\r\nhost: a\r\n\r\n')
  await once(socket, 'close')
  assert.equal(answered, 0)
})

test('a node that does not hold the key of the directory is not asked', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(2, 1_000))
  const impostor = { publicKey: (await nodes.identity('other')).publicKey, host: '127.0.0.1', port: a.server.port }
  nodes.directory.nodes.set('a', impostor)
  await assert.rejects(b.client.block('a', file.cid), { code: 'UPSTREAM_FAILED', message: /does not hold the key/ })
})

test('a key that left the directory is a stranger on its open connections too', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const file = await storeFile(a.store, seededBytes(3, 1_000))
  assert.deepEqual(await b.client.has('a', [file.cid]), [true])
  nodes.directory.roles.delete(b.identity.publicKey)
  await assert.rejects(b.client.has('a', [file.cid]), { code: 'UPSTREAM_FAILED' })
})

test('a controller is not served blocks, and nodes cannot use what is for controllers', async () => {
  await using nodes = await Nodes.open()
  const a = await nodes.add('a', {
    server: {
      routes: [
        {
          method: 'POST',
          name: 'intake',
          who: 'controller',
          handle: (_, response) => Promise.resolve(void response.end()),
        },
      ],
    },
  })
  const controller = await nodes.identity('controller')
  nodes.directory.roles.set(controller.publicKey, 'controller')
  const client = nodes.use(openTransferClient({ identity: controller, directory: nodes.directory }))
  const file = await storeFile(a.store, seededBytes(4, 1_000))
  await assert.rejects(client.has('a', [file.cid]), /403/)

  const b = await nodes.add('b')
  const socket = connect({
    host: '127.0.0.1',
    port: a.server.port,
    ...tlsOptions(b.identity),
    rejectUnauthorized: false,
  })
  socket.write('POST /intake HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1\.1 403 /)
  socket.destroy()
})
