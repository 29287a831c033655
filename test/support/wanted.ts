import { createHash, randomUUID } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { Database, Sql } from '../../services/catalog/database.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { deletePin } from '../../services/catalog/pins-remove.ts'
import { replacePin } from '../../services/catalog/pins-replace.ts'
import type { PinRow } from '../../services/catalog/pins.ts'
import { putPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { RECONCILE, type Wakes } from '../../services/catalog/wake.ts'
import { cidKey, RAW, SHA2_256 } from '../../services/core/cid.ts'
import type { PinStatus } from '../../services/core/pin.ts'
import { DEFAULT_POLICY, DEFAULT_POLICY_NAME, type Policy } from '../../services/core/policy.ts'

/** A root that exists nowhere yet; the same number is the same root. */
export function rootNumber(number: number): string {
  return cidKey(CID.createV1(RAW, create(SHA2_256, createHash('sha256').update(`root ${number}`).digest())))
}

interface Control {
  db: Database
  wakes: Wakes
}

/** A tenant whose pins have this policy. */
export async function newTenant(db: Database, policy: Policy = DEFAULT_POLICY): Promise<number> {
  const tenantId = await ensureTenant(db, randomUUID())
  await putPolicy(db, tenantId, DEFAULT_POLICY_NAME, policy)
  return tenantId
}

export async function pinRoot({ db, wakes }: Control, tenantId: number, root: string): Promise<PinRow> {
  return await createPinAcceptor(db, wakes).accept(tenantId, { cid: CID.parse(root), cidText: root })
}

export async function replaceRoot(
  { db, wakes }: Control,
  tenantId: number,
  old: PinRow,
  root: string,
): Promise<PinRow | undefined> {
  return await replacePin(db, tenantId, old.id, { cid: CID.parse(root), cidText: root }, wakes)
}

export async function unpin({ db, wakes }: Control, tenantId: number, { id }: PinRow): Promise<void> {
  await deletePin(db, tenantId, id)
  wakes.announce(RECONCILE)
}

export async function statusOf(sql: Sql, { id }: { id: string }): Promise<PinStatus | undefined> {
  const [row] = await sql.query<{ status: PinStatus }>('select status from pin where id = $1', [id])
  return row?.status
}

/** States of a content's replicas by the names of their nodes. */
export async function statesOf(sql: Sql, { contentId }: { contentId: string }): Promise<Record<string, string>> {
  const rows = await sql.query<{ name: string; state: string }>(
    `select n.name, r.state from replica r join node n on n.id = r.node_id where r.content_id = $1 order by n.name`,
    [contentId],
  )
  return Object.fromEntries(rows.map(({ name, state }) => [name, state]))
}
