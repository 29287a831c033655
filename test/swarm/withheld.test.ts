import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { retrieve } from '../../services/swarm/retrieve.ts'
import { blockOf } from '../support/blocks.ts'
import { openTestPeer } from '../support/test-peer.ts'

test(
  'withheld blocks are not served by bitswap, others are, and all are when they are withheld no more',
  { timeout: 60_000 },
  async () => {
    const [secret, open] = [blockOf(Buffer.from('withheld')), blockOf(Buffer.from('for everybody'))]
    let withheld: CID | undefined = secret.cid
    await using ours = await openTestPeer({ withholding: () => (cid) => withheld?.equals(cid) === true })
    await using theirs = await openTestPeer()
    await ours.store.put([secret, open])
    const options = { origins: [ours.address], stallMs: 1_500, silenceMs: 500 }
    const read = (root: CID): Promise<{ cid: CID; bytes: Uint8Array }[]> =>
      Array.fromAsync(retrieve(theirs.peer, root, options))
    assert.deepEqual(
      (await read(open.cid)).map(({ bytes }) => Buffer.from(bytes).toString()),
      ['for everybody'],
    )
    await assert.rejects(read(secret.cid))
    withheld = undefined
    assert.deepEqual(
      (await read(secret.cid)).map(({ bytes }) => Buffer.from(bytes).toString()),
      ['withheld'],
    )
  },
)
