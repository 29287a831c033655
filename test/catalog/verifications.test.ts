import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { createVerification } from '../../services/catalog/verifications.ts'
import { releaseVerification, renewVerification, takeVerification } from '../../services/catalog/verifications-work.ts'
import { hasCode } from '../../services/core/errors.ts'
import { freshDatabase } from '../support/postgres.ts'

const LEASE_MS = 60_000

function wish(collection: string) {
  return { collection: `eip155:1/erc721:0x${collection.repeat(40)}`, wanted: { block: 'finalized' } }
}

test('looks take turns: who gave the work back waits behind those that waited meanwhile', async () => {
  await using db = await freshDatabase()
  const tenants = await Promise.all(['a', 'b'].map((name) => ensureTenant(db, name, randomBytes(32).toString('hex'))))
  const [long, other] = [
    await createVerification(db, tenants[0] ?? 0, wish('a')),
    await createVerification(db, tenants[1] ?? 0, wish('b')),
  ]
  const first = await takeVerification(db, LEASE_MS)
  assert.equal(first?.id, long.id)
  await releaseVerification(db, first)
  const second = await takeVerification(db, LEASE_MS)
  assert.equal(second?.id, other.id)
  assert.equal((await takeVerification(db, LEASE_MS))?.id, long.id)
})

test('of one account one look is worked on at a time, and who lost the work is told', async () => {
  await using db = await freshDatabase()
  const tenantId = await ensureTenant(db, 'a', randomBytes(32).toString('hex'))
  await createVerification(db, tenantId, wish('a'))
  await createVerification(db, tenantId, wish('b'))
  const first = await takeVerification(db, LEASE_MS)
  assert.ok(first)
  assert.equal(await takeVerification(db, LEASE_MS), undefined)
  await releaseVerification(db, first)
  assert.ok(await takeVerification(db, LEASE_MS))
  await assert.rejects(renewVerification(db, first, LEASE_MS), (error) => hasCode(error, 'CONFLICT'))
})
