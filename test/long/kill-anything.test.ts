import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, test, type TestContext } from 'node:test'
import { Cluster } from '../support/cluster.ts'
import { Ledger } from '../support/ledger.ts'
import { seededBytes } from '../support/random-bytes.ts'
import { seededRandom, type Random } from '../support/seeded-random.ts'
import { until } from '../support/until.ts'

let cluster: Cluster
before(async () => {
  cluster = await Cluster.start()
})
after(() => cluster[Symbol.asyncDispose]())

test('whatever is killed at whatever moment, what was acknowledged is there after a start of everything', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6))
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const ledgers = Array.from(
    { length: 3 },
    (_, index) => new Ledger(cluster, seededRandom(seed + index), 1e6 * (index + 1)),
  )

  const parts = ['shanghai-1', 'control', 'postgres', 'frankfurt-1', 'virginia-1']
  await working(ledgers, async () => {
    for (const part of parts) {
      await moment(random)
      await cluster.kill(part)
      await moment(random)
      if (part !== 'postgres') await cluster.join(part)
      await acknowledgedAgain(ledgers)
    }
    await moment(random)
    await cluster.killAll()
  })
  await cluster.up()

  for (const ledger of ledgers) await ledger.check()
  report(t, ledgers)
})

test('while Postgres is killed again and again, reads go on and calls are answered 503 with Retry-After', async (t) => {
  const bytes = seededBytes(77, 300_000)
  const { cid, pin } = await cluster.upload(bytes)
  await cluster.pinned(pin.requestid, 3)
  const ledgers = Array.from({ length: 3 }, (_, index) => new Ledger(cluster, seededRandom(index), 1e7 * (index + 1)))
  await working(ledgers, async () => {
    for (let round = 0; round < 4; round++) {
      await acknowledgedAgain(ledgers)
      await cluster.kill('postgres')
      for (const node of cluster.ready.nodes) {
        assert.equal(Buffer.compare(await cluster.read(node, `/ipfs/${cid}`), bytes), 0)
      }
    }
    await acknowledgedAgain(ledgers)
  })
  assert.ok(ledgers.some(({ counts }) => counts.refused > 0))
  for (const ledger of ledgers) await ledger.check()
  report(t, ledgers)
})

/** Clients work while `attack` runs. The first that fails, fails the test. */
async function working(ledgers: readonly Ledger[], attack: () => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const clients = Promise.all(
    ledgers.map(async (ledger) => {
      // A refused client comes back a moment later, as it was told.
      for (let last = 0; !stop.signal.aborted; last = ledger.counts.acknowledged) {
        await ledger.step()
        if (ledger.counts.acknowledged === last) await delay(50)
      }
    }),
  )
  try {
    await Promise.race([attack(), clients])
  } finally {
    stop.abort()
    await clients
  }
}

/** An attack comes at any moment: this is the one place where a test waits for a time, because no event may decide it. */
async function moment(random: Random): Promise<void> {
  await delay(random() * 1_500)
}

async function acknowledgedAgain(ledgers: readonly Ledger[]): Promise<void> {
  for (const { counts } of ledgers) {
    const before = counts.acknowledged
    await until('an acknowledged call', () => counts.acknowledged > before + 2, 60_000)
  }
}

function report(t: TestContext, ledgers: readonly Ledger[]): void {
  for (const { size, counts } of ledgers) t.diagnostic(`${size} pins; calls: ${JSON.stringify(counts)}`)
}
