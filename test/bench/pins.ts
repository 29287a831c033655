import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase, type Database } from '../../services/catalog/database.ts'
import { startEmbedded } from '../../services/catalog/embedded.ts'
import { migrate } from '../../services/catalog/migrate.ts'
import { createPinAcceptor } from '../../services/catalog/pins-accept.ts'
import { listPins, type PinQuery } from '../../services/catalog/pins-list.ts'
import { ensureDefaultPolicy } from '../../services/catalog/policies.ts'
import { ensureTenant } from '../../services/catalog/tenants.ts'
import { PIN_STATUSES } from '../../services/core/pin.ts'
import { cidOf, newPin } from '../support/pins.ts'
import { percentile, type Row } from './rows.ts'

/**
 * Pins accepted and listed beside a million others, one tenant with most of them, on a server that syncs its commits.
 * `select 1` from as many callers, in turn with what is measured, is what this machine gives at that moment.
 */

const PINS = 1_000_000
const OTHER_TENANTS = 30
/** One of so many pins is of another tenant than the large one. */
const OF_OTHERS = 4
const CALLERS = 16
const ROUNDS = 5
const ROUND_MS = 1_000
const PAGES = 300

export async function benchPins(): Promise<Row[]> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const server = await startEmbedded({ folder })
  stack.defer(() => server.stop())
  const db = stack.use(openDatabase(server.url, { statementTimeoutMs: 600_000 }))
  await migrate(db)
  await ensureDefaultPolicy(db)
  const large = await ensureTenant(db, 'large')
  for (let index = 0; index < OTHER_TENANTS; index++) await ensureTenant(db, `tenant ${index}`)
  await seed(db, large)
  const lists = await list(db, large)
  return [await accept(db, large), ...lists]
}

async function accept(db: Database, tenant: number): Promise<Row> {
  const acceptor = createPinAcceptor(db)
  let serial = 0
  const [rates, limits]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    limits.push(await rate(() => db.query('select 1')))
    rates.push(await rate(() => acceptor.accept(tenant, newPin(`bench ${serial}`, { name: `bench ${serial++}` }))))
  }
  const [pins, limit] = [percentile(rates, 0.5), percentile(limits, 0.5)]
  return {
    what: `pins accepted, ${CALLERS} callers of one tenant, durable`,
    measured: `${pins.toFixed(0)}/s`,
    against: `${limit.toFixed(0)}/s select 1`,
    ratio: pins / limit,
    target: '>= 1000/s',
    isMet: pins >= 1_000,
  }
}

/** How often per second the callers get it done. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  let done = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < start + ROUND_MS) {
      await work()
      done++
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return (done * 1_000) / (performance.now() - start)
}

/** A search within names reads all that the trigrams of the part have in common; here all names share most of them. */
const TARGETS_MS: Readonly<Record<string, number>> = { 'by part of a name': 100 }
const TARGET_MS = 10

const LISTS: Readonly<Record<string, (index: number) => Omit<PinQuery, 'limit'>>> = {
  'one state, anywhere in time': (index) => ({ statuses: ['pinned'], before: momentOf(index) }),
  'all states, the newest': () => ({ statuses: PIN_STATUSES }),
  'three states, anywhere in time': (index) => ({
    statuses: ['queued', 'pinning', 'failed'],
    before: momentOf(index),
  }),
  'by CID': (index) => ({ statuses: PIN_STATUSES, cids: [cidOf(String(pinAt(index)))] }),
  'by name, exact': (index) => ({ statuses: PIN_STATUSES, name: `Photo ${pinAt(index)}` }),
  'by part of a name': (index) => ({ statuses: PIN_STATUSES, name: `photo ${pinAt(index)}`, match: 'ipartial' }),
  'by meta': (index) => ({ statuses: PIN_STATUSES, meta: { batch: String(pinAt(index) % 5_000) } }),
}

async function list(db: Database, tenant: number): Promise<Row[]> {
  const rows: Row[] = []
  for (const [what, query] of Object.entries(LISTS)) {
    const [pages, limits]: [number[], number[]] = [[], []]
    for (let index = 0; index < PAGES; index++) {
      limits.push(await milliseconds(() => db.query('select 1')))
      pages.push(await milliseconds(() => listPins(db, tenant, { ...query(index), limit: 10 })))
    }
    const [p50, p99, limit] = [percentile(pages, 0.5), percentile(pages, 0.99), percentile(limits, 0.99)]
    const target = TARGETS_MS[what] ?? TARGET_MS
    rows.push({
      what: `page of 10 of ${PINS / 1e6} M pins, ${what}, p99`,
      measured: `${p99.toFixed(1)} ms (p50 ${p50.toFixed(1)})`,
      against: `${limit.toFixed(1)} ms select 1, p99`,
      ratio: p99 / limit,
      target: `< ${target} ms`,
      isMet: p99 < target,
    })
  }
  return rows
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

const FIRST_MOMENT = Date.UTC(2026, 0, 1)
const MS_BETWEEN_PINS = 2

/** A pin of the large tenant; the same for the same index in each run. */
function pinAt(index: number): number {
  const place = (index * 7_919 * 104_729) % PINS
  return place % OF_OTHERS === 0 ? place + 1 : place
}

function momentOf(index: number): string {
  return new Date(FIRST_MOMENT + pinAt(index) * MS_BETWEEN_PINS).toISOString()
}

/** By statements over whole sets; indexes are made when the rows are there, which takes a fraction of the time. */
async function seed(db: Database, large: number): Promise<void> {
  const indexes = await db.query<{ name: string; definition: string }>(
    `select indexname as name, indexdef as definition from pg_indexes where tablename = 'pin' and indexname <> 'pin_pkey'`,
  )
  for (const { name } of indexes) await db.run(`drop index ${name}`)
  await db.run(
    `insert into content (cid, pins, idle_since)
     select decode('01551220', 'hex') || sha256(i::text::bytea), 1, null from generate_series(1, ${PINS}) as i`,
  )
  await db.run(
    `insert into content_policy (content_id, policy_id, pins) select c.id, (select id from policy), 1 from content c`,
  )
  await db.run(
    `insert into pin (tenant_id, id, content_id, policy_id, cid, name, folded_name, status, created_at, meta)
     select case when i % ${OF_OTHERS} = 0 then $1 + 1 + i / ${OF_OTHERS} % ${OTHER_TENANTS} else $1 end, gen_random_uuid(), i,
            (select id from policy), 'bafk' || i, 'Photo ' || i, 'photo ' || i,
            (array['queued', 'pinning', 'failed', 'pinned'])[least(4, 1 + i % 50)],
            timestamptz '2026-01-01Z' + i * interval '${MS_BETWEEN_PINS} milliseconds', jsonb_build_object('batch', (i % 5000)::text)
     from generate_series(1, ${PINS}) as i`,
    [large],
  )
  await db.run(
    'update tenant_usage u set pins = (select count(*) from pin p where p.tenant_id = u.tenant_id), last_created = now()',
  )
  for (const { definition } of indexes) await db.run(definition)
  await db.run('vacuum analyze')
}
